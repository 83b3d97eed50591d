/**
 * The environment for PostgreSQL's programs: ours without PGDATA, PGPORT and their kind, which would steer initdb and the
 * server away from what we ask for, and without our own settings, which are none of their business.
 */
export function postgresEnv(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG|TZ$|DATABASE_URL$|CARILLON_)/.test(name))
  return { ...Object.fromEntries(kept), LC_ALL: 'C' }
}
