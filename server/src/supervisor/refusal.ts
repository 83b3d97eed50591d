/** A start that cannot be, for a reason the operator can do something about: shown as it is, without a stack. */
export class Refusal extends Error {}
