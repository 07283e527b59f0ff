/** Addresses as text. */

/** Whether a text is an IPv4 address, or what the URL parser takes for IPv6; `node:net` takes 2 ms to load. */
export function isIpAddress(text: string): boolean {
  if (!text.includes(":")) return /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(text);
  return URL.canParse(`http://[${text}]/`);
}
