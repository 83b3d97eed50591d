/**
 * The consent that a message requires, checked again before each text is sent. `subscribed`: subscribers of the list;
 * `not_opted_out`: anyone who has not opted out of the list; `not_blocked`: the same, if the number has not sent STOP
 * to the short code either; `reply`: anyone, because the text replies to one that the number has just sent.
 */
export type Consent = 'subscribed' | 'not_opted_out' | 'not_blocked' | 'reply'
