/** Maximum size of the request line and the headers, in bytes; ids and queries of up to 16 KB reach the validation. */
export const maxHeaderSize = 16_384

/** Maximum number of headers of a request; nginx and browsers send about 20. */
export const maxHeaders = 100
