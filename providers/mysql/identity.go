package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"broker/providers"
)

// What the identity of a server begins with. MySQL has a UUID; MariaDB has none, so whoever prepares the root account
// makes a role whose name is one. Without it the address has to do, and a system that moves cannot be recognised.
const (
	identityMySQL   = "mysql-"
	identityMariaDB = "mariadb-"
	identityAddress = "mariadb-at-"
)

// systemRole is what the name of the role begins with that is MariaDB's identity.
const systemRole = "broker_system_"

// server is what a server says of itself.
type server struct {
	mariaDB  bool
	version  string
	readOnly bool
	ids      []string // MySQL's UUID; the names of MariaDB's system roles without what they begin with
}

// ask asks the server who it is.
func (b *backend) ask(ctx context.Context, s *session) (server, error) {
	last := b.mariaDB.Load()
	found, err := b.askAs(ctx, s, last)
	if hasNumber(err, errUnknownVariable, errUnknownColumn, errColumnAccessDenied, errTableAccessDenied) {
		// Perhaps it is of the other kind.
		if other, otherErr := b.askAs(ctx, s, !last); otherErr == nil || !hasNumber(otherErr, errUnknownVariable) {
			found, err = other, otherErr
		}
	}
	if err != nil {
		e := statementError(fmt.Sprintf("asking the server at %s who it is", b.settings.address()), err)
		e.NotSent = true
		if e.Kind == providers.KindUnknown {
			e.Kind = providers.KindUnavailable
		}
		if hasNumber(err, errTableAccessDenied, errColumnAccessDenied) {
			if root, rootErr := s.root(ctx); rootErr == nil {
				e.Hint = asAdministrator("GRANT " + readUser(true) + " TO " + root.quoted())
			}
		}
		return server{}, e
	}
	b.mariaDB.Store(found.mariaDB)
	return found, nil
}

func (b *backend) askAs(ctx context.Context, s *session, mariaDB bool) (server, error) {
	found := server{mariaDB: mariaDB}
	// Only roles have an empty host, and the key of the table begins with the host.
	query := "SELECT CONNECTION_ID(), VERSION(), @@GLOBAL.read_only, (SELECT GROUP_CONCAT(User ORDER BY User) FROM mysql.user WHERE Host = '' AND LEFT(User, " +
		fmt.Sprint(len(systemRole)) + ") = " + quoteString(systemRole) + ")"
	if !mariaDB {
		query = "SELECT CONNECTION_ID(), VERSION(), @@GLOBAL.read_only, @@GLOBAL.server_uuid"
	}
	var session uint64
	var readOnly string
	var ids sql.NullString
	if err := s.read(ctx, query, &session, &found.version, &readOnly, &ids); err != nil {
		return server{}, err
	}
	found.readOnly = readOnly != "0" && readOnly != "OFF" // newer MariaDB has words for it, and more than two
	b.sessions.Store(session, true)
	for id := range strings.SplitSeq(ids.String, ",") {
		if id = strings.TrimPrefix(id, systemRole); id != "" {
			found.ids = append(found.ids, id)
		}
	}
	return found, nil
}

// systemID names the server. One that proves to be the system that is meant keeps that name.
func (b *backend) systemID(ctx context.Context, s *session, found server) (providers.SystemID, error) {
	if b.identifiable() {
		same, err := b.sameSystem(ctx, s, found)
		if err != nil {
			return "", err
		}
		if same {
			return b.env.Identity, nil
		}
	}
	switch {
	case !found.mariaDB && len(found.ids) > 0:
		return providers.SystemID(identityMySQL + found.ids[0]), nil
	case found.mariaDB && len(found.ids) > 0:
		return providers.SystemID(identityMariaDB + found.ids[0]), nil
	}
	return providers.SystemID(identityAddress + b.settings.address()), nil
}

// identifiable reports whether the system that is meant is known by something it can prove.
func (b *backend) identifiable() bool {
	id := string(b.env.Identity)
	return id != "" && !strings.HasPrefix(id, identityAddress)
}

// sameSystem reports whether a server is the one that is meant, or carries on its history: a replica that was promoted
// has a UUID of its own, and has executed transactions of the one before.
func (b *backend) sameSystem(ctx context.Context, s *session, found server) (bool, error) {
	meant := string(b.env.Identity)
	if found.mariaDB {
		meant, ok := strings.CutPrefix(meant, identityMariaDB)
		return ok && slices.Contains(found.ids, meant), nil
	}
	meant, ok := strings.CutPrefix(meant, identityMySQL)
	if !ok || slices.Contains(found.ids, meant) {
		return ok, nil
	}
	var carriesOn bool
	if err := s.read(ctx, "SELECT LOCATE("+quoteString(meant)+", @@GLOBAL.gtid_executed) > 0", &carriesOn); err != nil {
		return false, b.unproven("", "asking the server at %s what it has executed: %w", b.settings.address(), err)
	}
	return carriesOn, nil
}

// prove refuses a server whose word on which logins exist counts for nothing: a replica, which may be behind, and any
// system but the one that is meant, where they are absent of course. A host name can come to mean either. No statement of
// a call has been sent when it fails.
func (b *backend) prove(ctx context.Context, s *session, found server) error {
	if found.readOnly {
		return b.unproven("Point the connection at the server that takes writes.", "the server at %s is read-only: it is a replica, or it was set so", b.settings.address())
	}
	if !b.identifiable() {
		return nil
	}
	same, err := b.sameSystem(ctx, s, found)
	if err != nil {
		return err
	}
	if !same {
		return b.unproven("Let the connection's address lead to the system again that its leases were made at. If another has taken its place for good, say that the connection was replaced.",
			"the server at %s is another system than the one that is meant: not %s", b.settings.address(), b.env.Identity)
	}
	return nil
}

func (b *backend) unproven(hint, format string, args ...any) error {
	return &providers.Error{Kind: providers.KindUnavailable, NotSent: true, Hint: hint, Err: fmt.Errorf(format, args...)}
}
