import { startSimulator } from '../simulator/simulator.ts'
import { runProcess } from './role.ts'

// not runRole, because the simulator does not use the database
await runProcess('simulator', async (given) => {
  const { smppPort, controlPort, stop } = await startSimulator(given)
  return { ready: { smppPort, controlPort }, stop }
})
