import { decodePdu } from './pdu/codec.ts'
import { blankPdu, type Pdu, type RequestCommand, type ResponsePdu, responseOf } from './pdu/pdu.ts'
import { PduError } from './pdu/pdu-error.ts'

const COMMAND_ID_AT = 4
const FIRST_RESPONSE_ID = 0x8000_0000

/** A frame of the peer: its PDU, or the rejection of a malformed request; neither for a malformed response. */
export type ReceivedFrame = { pdu?: Pdu; rejection?: ResponsePdu }

/** Decodes a frame of the peer. */
export function readFrame(frame: Buffer): ReceivedFrame {
  try {
    return { pdu: decodePdu(frame) }
  } catch (error) {
    if (!(error instanceof PduError)) throw error
    // NOTE: a generic_nack to a malformed response would be the response to the peer's request with that number.
    return frame.readUInt32BE(COMMAND_ID_AT) < FIRST_RESPONSE_ID ? { rejection: rejectionOf(error) } : {}
  }
}

/** Returns the command's response for a malformed body, and generic_nack for other malformed PDUs (§4.3). */
function rejectionOf({ command, command_status, sequence_number }: PduError): ResponsePdu {
  const response = command && command in responseOf ? responseOf[command as RequestCommand] : 'generic_nack'
  return { ...blankPdu(response), command_status, sequence_number } as ResponsePdu
}
