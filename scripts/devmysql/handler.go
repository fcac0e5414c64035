package main

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
)

// handler carries out what a broker says to MySQL and the server in here does not understand, and leaves the rest to it.
type handler struct {
	mysql.Handler
	users *mysql_db.MySQLDb

	mu          sync.Mutex
	connections map[uint32]*mysql.Conn
}

var (
	createLocked = regexp.MustCompile(`(?is)^CREATE USER '([^']+)'@'([^']+)' .* ACCOUNT LOCK ATTRIBUTE '(.*)'$`)
	setLock      = regexp.MustCompile(`(?is)^ALTER USER (?:IF EXISTS )?(.+) ACCOUNT (LOCK|UNLOCK)$`)
	setRole      = regexp.MustCompile(`(?is)^ALTER USER .+ DEFAULT ROLE `) // every role is active here
	kill         = regexp.MustCompile(`(?i)^KILL (\d+)$`)
	follow       = regexp.MustCompile(`(?i)^WITH RECURSIVE reached `) // what roles lead to: here there is one, and it leads nowhere
	do           = regexp.MustCompile(`(?i)^DO `)
	accountName  = regexp.MustCompile(`'([^']+)'@'([^']+)'`)
)

// Numbers of MySQL's errors.
const (
	errNoThread     = 1094
	errAccessDenied = 1227
	errCannotUser   = 1396
)

// userPrivileges adds to the table of privileges what the root account may do in here without a GRANT that could say so.
var userPrivileges = strings.NewReplacer("information_schema.USER_PRIVILEGES",
	"(SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES"+
		" UNION ALL SELECT "+rootGrantee+", 'CONNECTION_ADMIN' UNION ALL SELECT "+rootGrantee+", 'ROLE_ADMIN') AS user_privileges")

const rootGrantee = `'''` + rootName + `''@''%'''`

// NewConnection keeps the connection in mind, so that it can be ended.
func (h *handler) NewConnection(c *mysql.Conn) {
	h.mu.Lock()
	h.connections[c.ConnectionID] = c
	h.mu.Unlock()
	h.Handler.NewConnection(c)
}

// ConnectionClosed forgets it.
func (h *handler) ConnectionClosed(c *mysql.Conn) {
	h.mu.Lock()
	delete(h.connections, c.ConnectionID)
	h.mu.Unlock()
	h.Handler.ConnectionClosed(c)
}

// ComQuery carries a statement out.
func (h *handler) ComQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) error {
	own := func(err error) error {
		if err != nil {
			return err
		}
		return callback(&sqltypes.Result{}, false)
	}
	if found := createLocked.FindStringSubmatch(query); found != nil {
		return h.createLocked(ctx, c, query, found, callback)
	}
	if found := setLock.FindStringSubmatch(query); found != nil {
		return own(h.setLock(c, found[1], strings.EqualFold(found[2], "LOCK")))
	}
	if setRole.MatchString(query) {
		return own(h.allowed(c))
	}
	if found := kill.FindStringSubmatch(query); found != nil {
		return own(h.kill(c, found[1]))
	}
	if follow.MatchString(query) {
		query = "SELECT NULL"
	}
	if do.MatchString(query) {
		discard := func(*sqltypes.Result, bool) error { return nil }
		return own(h.Handler.ComQuery(ctx, c, do.ReplaceAllString(query, "SELECT "), discard))
	}
	return h.Handler.ComQuery(ctx, c, userPrivileges.Replace(query), callback)
}

// createLocked makes the account, which the server in here would leave unlocked and without its attribute.
func (h *handler) createLocked(ctx context.Context, c *mysql.Conn, query string, found []string, callback mysql.ResultSpoolFn) error {
	if err := h.Handler.ComQuery(ctx, c, query, callback); err != nil {
		if strings.Contains(err.Error(), "CREATE USER failed") {
			return mysql.NewSQLError(errCannotUser, "HY000", "Operation CREATE USER failed for '%s'@'%s'", found[1], found[2])
		}
		return err
	}
	attributes := `{"metadata": ` + found[3] + `}`
	return h.change(found[1], found[2], func(user *mysql_db.User) { user.Locked, user.Attributes = true, &attributes })
}

func (h *handler) setLock(c *mysql.Conn, accounts string, locked bool) error {
	if err := h.allowed(c); err != nil {
		return err
	}
	for _, account := range accountName.FindAllStringSubmatch(accounts, -1) {
		if err := h.change(account[1], account[2], func(user *mysql_db.User) { user.Locked = locked }); err != nil {
			return err
		}
	}
	return nil
}

func (h *handler) kill(c *mysql.Conn, text string) error {
	if err := h.allowed(c); err != nil {
		return err
	}
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return fmt.Errorf("reading the id of a session: %w", err)
	}
	h.mu.Lock()
	target := h.connections[uint32(id)]
	h.mu.Unlock()
	if target == nil {
		return mysql.NewSQLError(errNoThread, "HY000", "Unknown thread id: %d", id)
	}
	target.Close()
	return nil
}

// allowed refuses whoever may not make accounts.
func (h *handler) allowed(c *mysql.Conn) error {
	from, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return fmt.Errorf("reading where a session comes from: %w", err)
	}
	reader := h.users.Reader()
	defer reader.Close()
	user := h.users.GetUser(reader, c.User, from, false)
	if user == nil || !user.PrivilegeSet.Has(sql.PrivilegeType_CreateUser) {
		return mysql.NewSQLError(errAccessDenied, "42000", "Access denied; you need the CREATE USER privilege for this operation")
	}
	return nil
}

// change changes an account that is there.
func (h *handler) change(name, host string, to func(*mysql_db.User)) error {
	editor := h.users.Editor()
	defer editor.Close()
	user, there := editor.GetUser(mysql_db.UserPrimaryKey{User: name, Host: host})
	if !there {
		return mysql.NewSQLError(errCannotUser, "HY000", "Operation ALTER USER failed for '%s'@'%s'", name, host)
	}
	changed := *user
	to(&changed)
	editor.RemoveUser(mysql_db.UserPrimaryKey{User: name, Host: host}) // one put beside it would be another of that name
	editor.PutUser(&changed)
	return nil
}

// processList names whom sessions belong to, which the list in here does not learn.
type processList struct {
	sql.ProcessList
	handler *handler
}

// Processes returns the sessions.
func (p processList) Processes() []sql.Process {
	all := p.ProcessList.Processes()
	p.handler.mu.Lock()
	defer p.handler.mu.Unlock()
	for i := range all {
		if c := p.handler.connections[all[i].Connection]; c != nil && c.User != "" {
			all[i].User = c.User
		}
	}
	return slices.Clip(all)
}
