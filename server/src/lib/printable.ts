// Control characters except line ends and tabs, and the characters of Unicode that change the direction of the text around them or
// begin a line. They include C1, which terminals also obey in UTF-8.
const unprintable = /[^\P{Cc}\n\t]|[\u2028-\u202e\u2066-\u2069]/gu

/** Escapes characters that control a terminal, such as those in a name that a caller has chosen; line ends and tabs remain. */
export function printable(text: string): string {
  return text.replace(unprintable, escaped)
}

/** Does the same for the text of one line, whose line ends and tabs are also escaped. */
export function printableLine(text: string): string {
  return printable(text).replace(/[\n\t]/g, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
