// A ZIP archive of files that are stored as they are: PNG does not get smaller. Format: PKWARE APPNOTE 6.3.10, sections
// 4.3.7 (local header), 4.3.12 (central directory) and 4.3.16 (end).

const table = Uint32Array.from({length: 256}, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; ++bit) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  return remainder;
});

function crc32(bytes) {
  let remainder = 0xffffffff;
  for (const byte of bytes) remainder = table[(remainder ^ byte) & 255] ^ (remainder >>> 8);
  return (remainder ^ 0xffffffff) >>> 0;
}

// Numbers to little-endian bytes: [size, value], ...
function little(...fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}

// files: [[name, Blob], ...], below 4 GiB and 65,536 files in all. Their date is given, so that the same files
// are the same archive.
export async function zip(files) {
  const version = 20, utf8 = 0x0800, stored = 0, time = 0, date = (1 << 5) | 1;  // 1 January 1980
  const parts = [], directory = [];
  let offset = 0;
  for (const [name, blob] of files) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const path = new TextEncoder().encode(name);
    const about = [[2, version], [2, utf8], [2, stored], [2, time], [2, date], [4, crc32(bytes)], [4, bytes.length],
                   [4, bytes.length], [2, path.length], [2, 0]];
    parts.push(little([4, 0x04034b50], ...about), path, bytes);
    directory.push(little([4, 0x02014b50], [2, version], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), path);
    offset += 30 + path.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = little([4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0]);
  return new Blob([...parts, ...directory, end], {type: 'application/zip'});
}
