/**
 * Whom a message may go to, asked again before each text leaves: the list's subscribers; anyone who has not opted out of
 * it; of those only who has not sent STOP to the short code; or whoever has just texted us, for it is an answer.
 */
export type Consent = 'subscribed' | 'not_opted_out' | 'not_blocked' | 'answer'
