package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"

	"broker/providers"
)

// session is one connection to the server that is meant, in use by one call.
type session struct {
	*sql.Conn
	mariaDB bool
	spoiled bool // it is in a state that the next call must not find: a lock held, settings of somebody's statements
	refused bool // it lacked a privilege: what is granted from now on counts for new sessions only
}

// end gives the connection back, or closes it when it is spoiled.
func (s *session) end() {
	if s.spoiled || s.refused {
		_ = s.Raw(func(any) error { return driver.ErrBadConn }) // has the pool close it
	}
	_ = s.Close()
}

// reach returns a session at whichever server answers. An error means that nothing was sent.
func (b *backend) reach(ctx context.Context) (*session, server, error) {
	conn, err := b.pool.Conn(ctx)
	if err != nil {
		e := b.connectError(b.settings.username, err)
		e.Busy = ctx.Err() != nil && b.pool.Stats().InUse >= b.settings.maxConnections
		return nil, server{}, e
	}
	s := &session{Conn: conn}
	found, err := b.ask(ctx, s)
	if err != nil {
		s.spoiled = true
		s.end()
		return nil, server{}, err
	}
	s.mariaDB = found.mariaDB
	return s, found, nil
}

// acquire returns a session at the server that is meant, which takes writes. An error means that nothing was sent. It
// asks at each use: a server becomes a replica while connections to it stay open.
func (b *backend) acquire(ctx context.Context) (*session, error) {
	s, found, err := b.reach(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.prove(ctx, s, found); err != nil {
		// Not back to the pool: the next connection may lead to the right server.
		s.spoiled = true
		s.end()
		return nil, err
	}
	return s, nil
}

// exec runs a statement that answers nothing.
func (s *session) exec(ctx context.Context, sql string) error {
	_, err := s.ExecContext(ctx, sql)
	s.refused = s.refused || hasNumber(err, privilegeErrors...)
	return err
}

// read runs a query of one row.
func (s *session) read(ctx context.Context, sql string, into ...any) error {
	return s.QueryRowContext(ctx, sql).Scan(into...)
}

// rows runs a query and hands over each of its rows.
func (s *session) rows(ctx context.Context, sql string, each func(scan func(...any) error) error) error {
	rows, err := s.QueryContext(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// account is an account of a login: a name may have several, one for each host part.
type account struct {
	name providers.LoginName
	host string
}

func (a account) quoted() string { return quoteAccount(string(a.name), a.host) }

// accounts returns the accounts that have one of the names.
func (s *session) accounts(ctx context.Context, names []string) (map[providers.LoginName][]account, error) {
	found := map[providers.LoginName][]account{}
	if len(names) == 0 {
		return found, nil
	}
	sql := "SELECT User, Host FROM mysql.user WHERE User IN (" + quoteAll(names) + ") ORDER BY User, Host"
	err := s.rows(ctx, sql, func(scan func(...any) error) error {
		var name, host string
		err := scan(&name, &host)
		found[providers.LoginName(name)] = append(found[providers.LoginName(name)], account{providers.LoginName(name), host})
		return err
	})
	if err != nil {
		return nil, statementError("looking accounts up", err)
	}
	return found, nil
}

// lockOf is the name of the lock that is held while a login is made, and while its absence is confirmed.
func lockOf(name providers.LoginName) string { return "broker." + string(name) }

// claim takes the locks of the names that nobody holds, at once, and returns those that somebody does.
func (s *session) claim(ctx context.Context, logins []providers.Login) (taken []providers.Login, err error) {
	calls := make([]string, len(logins))
	got := make([]sql.NullInt64, len(logins))
	into := make([]any, len(logins))
	for i, login := range logins {
		calls[i] = fmt.Sprintf("GET_LOCK(%s, 0)", quoteString(lockOf(login.Name)))
		into[i] = &got[i]
	}
	s.spoiled = true // until release
	if err := s.read(ctx, "SELECT "+strings.Join(calls, ", "), into...); err != nil {
		return nil, statementError("claiming names", err)
	}
	for i, login := range logins {
		if got[i].Int64 != 1 {
			taken = append(taken, login)
		}
	}
	return taken, nil
}

// release gives all locks of the session up.
func (s *session) release(ctx context.Context) {
	s.spoiled = s.exec(ctx, "DO RELEASE_ALL_LOCKS()") != nil
}
