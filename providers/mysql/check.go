package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"broker/providers"
)

// Check looks at the server's version and state, the root account's privileges and the server's identity.
func (b *backend) Check(ctx context.Context) (providers.SystemID, error) {
	ctx, cancel := b.bound(ctx, 6)
	defer cancel()
	// Whichever server answers: Check is how its identity becomes known.
	s, found, err := b.reach(ctx)
	if err != nil {
		return "", err
	}
	defer s.end()
	if wanted := found.tooOld(); wanted != "" {
		return "", providers.Errorf(providers.KindUnsupported, "the server at %s is version %s: %s or newer is needed", b.settings.address(), found.version, wanted)
	}
	if found.readOnly {
		return "", b.prove(ctx, s, found)
	}
	root, err := s.root(ctx)
	if err != nil {
		return "", err
	}
	if err := b.checkPrivileges(ctx, s, root); err != nil {
		return "", err
	}
	return b.systemID(ctx, s, found)
}

// tooOld returns the version that is needed, "" when the server's will do.
func (f server) tooOld() string {
	wanted := "8.0.21"
	if f.mariaDB {
		wanted = "10.6.0"
	}
	have, want := strings.FieldsFunc(f.version, notDigit), strings.Split(wanted, ".")
	for i, text := range want {
		if i >= len(have) {
			return wanted
		}
		h, _ := strconv.Atoi(have[i]) // digits only
		w, _ := strconv.Atoi(text)
		if h != w {
			if h < w {
				return wanted
			}
			return ""
		}
	}
	return ""
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

// root returns the account of the server that the session logged in as.
func (s *session) root(ctx context.Context) (account, error) {
	var text string
	if err := s.read(ctx, "SELECT CURRENT_USER()", &text); err != nil {
		return account{}, statementError("asking for the root account's full name", err)
	}
	at := strings.LastIndexByte(text, '@')
	return account{providers.LoginName(text[:max(at, 0)]), text[at+1:]}, nil
}

// checkPrivileges looks for what the root account cannot do without. Only what it holds itself counts: roles are no
// place for it.
func (b *backend) checkPrivileges(ctx context.Context, s *session, root account) error {
	held := map[string]bool{}
	sql := "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = " + quoteString("'"+string(root.name)+"'@'"+root.host+"'")
	err := s.rows(ctx, sql, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		held[name] = true
		return err
	})
	if err != nil {
		return statementError("reading the root account's privileges", err)
	}
	killing := "CONNECTION_ADMIN"
	if s.mariaDB {
		killing = "CONNECTION ADMIN"
	}
	for _, needed := range []struct{ privilege, without string }{
		{"CREATE USER", "it can make and remove no login"},
		{"PROCESS", "it does not see the sessions of a revoked login"},
		{killing, "it can end no session of a revoked login"},
	} {
		if !held[needed.privilege] {
			return b.lacks(root, needed.privilege, needed.without, "GRANT "+needed.privilege+" ON *.* TO "+root.quoted())
		}
	}
	roles := "mysql.role_edges"
	if s.mariaDB {
		roles = "mysql.roles_mapping"
	}
	for _, needed := range []struct{ table, columns, grant string }{
		{"mysql.user", userColumns(s.mariaDB), readUser(s.mariaDB)}, {roles, "1", "SELECT ON " + roles},
	} {
		err := s.rows(ctx, "SELECT "+needed.columns+" FROM "+needed.table+" LIMIT 0", func(func(...any) error) error { return nil })
		if hasNumber(err, errTableAccessDenied, errColumnAccessDenied, errDatabaseAccessDenied) {
			return b.lacks(root, "SELECT on "+needed.table, "it does not see which logins there are", "GRANT "+needed.grant+" TO "+root.quoted())
		}
		if err != nil {
			return statementError("reading "+needed.table, err)
		}
	}
	return nil
}

// userColumns are what is read of the table of accounts.
func userColumns(mariaDB bool) string {
	if mariaDB {
		return "Host, User, Super_priv, Create_user_priv, Grant_priv"
	}
	return "Host, User, User_attributes, Super_priv, Create_user_priv, Grant_priv"
}

func readUser(mariaDB bool) string { return "SELECT (" + userColumns(mariaDB) + ") ON mysql.user" }

func asAdministrator(statement string) string { return "Run as an administrator: " + statement }

func (b *backend) lacks(root account, what, without, statement string) error {
	return &providers.Error{Kind: providers.KindRejected, Hint: asAdministrator(statement),
		Err: fmt.Errorf("the root account %s lacks %s, without which %s", root.quoted(), what, without)}
}
