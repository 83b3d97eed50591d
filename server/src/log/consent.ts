/**
 * The consent that a message requires, checked again before each text is sent. `subscribed`: subscribers of the list;
 * `not_opted_out`: all numbers that have not opted out of the list. Both exclude numbers that are blocked at the short
 * code, because they sent STOP to it. `opt_in_request`: numbers that have neither opted out of the list nor sent STOP to
 * the short code since the message was created. `reply`: anyone, because the text replies to one that the number has just sent.
 */
export type Consent = 'subscribed' | 'not_opted_out' | 'opt_in_request' | 'reply'
