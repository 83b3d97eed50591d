/**
 * The consent that a message requires, checked again before each text is sent. `subscribed`: subscribers of the list;
 * `not_opted_out`: all numbers that have not opted out of the list. Both exclude numbers that are blocked at the short
 * code, because they sent STOP to it. `reply`: anyone, because the text replies to one that the number has just sent.
 */
export type Consent = 'subscribed' | 'not_opted_out' | 'reply'
