// Notes as sounds, by the browser: a flute for the voice, a piano; both of a few sine waves.

const ahead = 1.5;  // seconds for which notes are handed to the browser: one that is not looked at calls once a second
const tail = 0.9;   // seconds in which the last notes die away

const frequencyOf = (pitch) => 440 * 2 ** ((pitch - 69) / 12);

export class Player {
  #context = null;
  #out = null;      // of what plays now
  #timer = 0;
  #frame = 0;
  #sent = 0;        // notes that were handed over
  #playing = null;  // {notes, sixteenth (seconds), at: the time of the context at which the first sixteenth was or would have been, end}

  // place(sixteenth): called with every picture of the screen while it plays; ended(): once, when it does not any more.
  constructor({place, ended}) {
    this.place = place;
    this.ended = ended;
  }

  get playing() { return this.#playing !== null; }

  // To be called by what a person does: browsers are silent until then. tempo: quarter notes a minute; from, to: sixteenths.
  play(notes, {tempo, from = 0, to}) {
    this.stop();
    const context = this.#begin();
    const sixteenth = 15 / tempo;
    const sorted = notes.filter(({start}) => start >= from).sort((a, b) => a.start - b.start);
    this.#playing = {notes: sorted, sixteenth, at: context.currentTime + 0.08 - from * sixteenth, from, to};
    this.#out = new GainNode(context);
    this.#out.connect(this.#room());
    this.#sent = 0;
    this.#send();
    this.#timer = setInterval(() => this.#send(), 250);
    const look = () => {
      const place = this.#place();
      if (place > to + tail / sixteenth) return this.stop();
      this.place(Math.min(Math.max(place, from), to));
      this.#frame = requestAnimationFrame(look);
    };
    this.#frame = requestAnimationFrame(look);
  }

  stop() {
    if (!this.#playing) return;
    this.#playing = null;
    clearInterval(this.#timer);
    cancelAnimationFrame(this.#frame);
    const out = this.#out, {currentTime} = this.#context;
    out.gain.setTargetAtTime(0, currentTime, 0.02);
    setTimeout(() => out.disconnect(), 200);
    this.ended();
  }

  // One note, at once.
  try(part, pitch) {
    const context = this.#begin();
    instruments[part](context, this.#room(), context.currentTime + 0.01, 0.22, frequencyOf(pitch));
  }

  close() {
    this.stop();
    this.#context?.close();
    this.#context = null;
  }

  #begin() {
    this.#context ??= new AudioContext();
    if (this.#context.state === 'suspended') this.#context.resume();
    return this.#context;
  }

  #place() { return (this.#context.currentTime - this.#playing.at) / this.#playing.sixteenth; }

  #send() {
    const {notes, sixteenth, at} = this.#playing;
    const until = this.#context.currentTime + ahead;
    for (; this.#sent < notes.length; ++this.#sent) {
      const {part, start, length, pitch} = notes[this.#sent];
      const begin = at + start * sixteenth;
      if (begin > until) break;
      instruments[part](this.#context, this.#out, Math.max(begin, this.#context.currentTime), length * sixteenth, frequencyOf(pitch));
    }
  }

  // Where sounds go: a small room, and nothing louder than loud.
  #room() {
    if (this.#context.room) return this.#context.room;
    const context = this.#context;
    const limit = new DynamicsCompressorNode(context, {threshold: -14, ratio: 6});
    limit.connect(context.destination);
    const length = Math.round(1.1 * context.sampleRate);
    const echo = new AudioBuffer({length, numberOfChannels: 2, sampleRate: context.sampleRate});
    for (let channel = 0; channel < 2; ++channel) {
      const values = echo.getChannelData(channel);
      for (let i = 0; i < length; ++i) values[i] = (2 * Math.random() - 1) * (1 - i / length) ** 3.2;
    }
    const room = new GainNode(context, {gain: 0.8});
    room.connect(limit);
    room.connect(new ConvolverNode(context, {buffer: echo})).connect(new GainNode(context, {gain: 0.22})).connect(limit);
    context.room = room;
    return room;
  }
}

// Partials of a struck string, the fundamental first.
const strings = [1, 0.42, 0.23, 0.14, 0.07, 0.05, 0.03];

const instruments = {
  voice(context, out, at, seconds, frequency) {
    const gain = new GainNode(context, {gain: 0});
    const end = at + Math.max(seconds, 0.09);
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.2, at + 0.035);
    gain.gain.setTargetAtTime(0.15, at + 0.05, 0.2);
    gain.gain.setTargetAtTime(0, end - 0.03, 0.035);
    gain.connect(out);
    const vibrato = new OscillatorNode(context, {frequency: 5.2});
    const depth = new GainNode(context, {gain: 0});
    depth.gain.setTargetAtTime(7, at + 0.18, 0.15);  // cents
    vibrato.connect(depth);
    const tones = [[1, 1], [2, 0.22], [3, 0.08]].map(([multiple, loudness]) => {
      const tone = new OscillatorNode(context, {frequency: multiple * frequency});
      depth.connect(tone.detune);
      tone.connect(new GainNode(context, {gain: loudness})).connect(gain);
      return tone;
    });
    sound([vibrato, ...tones], at, end + 0.25, gain);
  },

  piano(context, out, at, seconds, frequency) {
    const gain = new GainNode(context, {gain: 0});
    const end = at + Math.max(seconds, 0.12), fading = Math.min(1.6, 260 / frequency);
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.16, at + 0.005);
    gain.gain.setTargetAtTime(0, at + 0.01, fading);
    gain.gain.setTargetAtTime(0, end, 0.07);
    // High partials die first.
    const dull = new BiquadFilterNode(context, {type: 'lowpass', frequency: 9 * frequency});
    dull.frequency.setTargetAtTime(2.2 * frequency, at, 0.25);
    dull.connect(gain).connect(out);
    const tone = new OscillatorNode(context, {frequency,
      periodicWave: new PeriodicWave(context, {real: new Float32Array(strings.length + 1), imag: Float32Array.from([0, ...strings])})});
    tone.connect(dull);
    sound([tone], at, end + 0.5, gain);
  },
};

function sound(tones, at, end, last) {
  for (const tone of tones) {
    tone.start(at);
    tone.stop(end);
  }
  tones[0].addEventListener('ended', () => last.disconnect());
}
