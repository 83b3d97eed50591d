import { startGateway } from '../gateway/gateway.ts'
import { runRole } from './role.ts'

await runRole('gateway', startGateway)
