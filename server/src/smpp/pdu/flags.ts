// Names for the bits and values of PDU fields.

/** esm_class, §5.2.12. */
export const esmClass = {
  datagram: 0x01,
  storeAndForward: 0x03,
  /** bits 5-2: the message type of a deliver_sm */
  typeMask: 0x3c,
  receipt: 0x04,
  intermediateNotification: 0x20,
  /** short_message starts with a user data header */
  udhi: 0x40,
} as const

/** registered_delivery, §5.2.17. */
export const registeredDelivery = { none: 0, always: 1, onFailure: 2, intermediate: 0x10 } as const

/** data_coding, §5.2.19. */
export const dataCoding = { smscDefault: 0, ia5: 1, latin1: 3, binary: 4, ucs2: 8 } as const

/** Type of number, §5.2.5. */
export const ton = {
  unknown: 0,
  international: 1,
  national: 2,
  networkSpecific: 3,
  alphanumeric: 5,
  abbreviated: 6,
} as const

/** Numbering plan indicator, §5.2.6. */
export const npi = { unknown: 0, isdn: 1 } as const

/** message_state, §5.2.28; SCHEDULED is of SMPP 5.0. */
export const messageState = {
  SCHEDULED: 0,
  ENROUTE: 1,
  DELIVERED: 2,
  EXPIRED: 3,
  DELETED: 4,
  UNDELIVERABLE: 5,
  ACCEPTED: 6,
  UNKNOWN: 7,
  REJECTED: 8,
} as const
