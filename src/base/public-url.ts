/** URLs as they may be shown and written down. */

/** The text without the passwords of URLs in it, nor the user of an http one, which may be a token. */
export function withoutCredentials(text: string): string {
  return text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^/?#\s@"']*:[^/?#\s"']*@/gi, "$1xxxxx:xxxxx@")
    .replace(/\b(https?:\/\/)(?!xxxxx:)[^/?#\s@"']+@/gi, "$1xxxxx@");
}
