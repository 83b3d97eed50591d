/**
 * Returns the environment for PostgreSQL's programs: ours without PGDATA, PGPORT and similar variables, which would override
 * our arguments to initdb and the server, and without our own settings, which may contain secrets.
 */
export function postgresEnv(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG|TZ$|DATABASE_URL$|CARILLON_)/.test(name))
  return { ...Object.fromEntries(kept), LC_ALL: 'C' }
}
