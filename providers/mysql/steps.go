package mysql

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"

	"broker/providers"
)

// step is one statement of making a login.
type step struct {
	doing string // a gerund phrase for errors
	sql   string
	own   bool   // it is a user's own
	given string // what lets the root account carry it out, a sentence for hints; empty: nothing special
	from  string // the option that it was made of; empty: none whose words the server judges
}

// order is what the steps are made of.
type order struct {
	mariaDB   bool
	mark      string // the role that MariaDB's logins are known by
	name      string
	options   providers.Options
	password  string
	hash      string // of the password, for mysql_native_password
	clusterID string
	leaseID   string
}

func (o order) account() string { return quoteAccount(o.name, hostOf(o.options)) }

// steps returns the statements that make a login, in their order. Each commits by itself: the account is locked until
// it has everything, so what is half made can do nothing.
func (o order) steps() ([]step, error) {
	account := o.account()
	steps := []step{{doing: "making it", sql: o.createUser()}}
	add := func(doing, sql string) { steps = append(steps, step{doing: doing, sql: sql}) }
	if o.mariaDB {
		add(fmt.Sprintf("granting role %q, which marks it as the cluster's", o.mark), "GRANT "+quoteName(o.mark)+" TO "+account)
	}
	if roles := o.options.List(optionRoles); len(roles) > 0 {
		add("granting roles", "GRANT "+roleList(roles)+" TO "+account)
		if o.mariaDB {
			steps = append(steps, step{doing: "setting its default role", sql: "SET DEFAULT ROLE " + roleList(roles) + " FOR " + account,
				given: "The root account may not set default roles: GRANT UPDATE ON mysql.* TO it."})
		} else {
			add("setting its default roles", "ALTER USER "+account+" DEFAULT ROLE "+roleList(roles))
		}
	}
	for i, text := range o.options.List(optionGrants) {
		granted, err := parsePrivileges(text)
		if err != nil {
			return nil, fmt.Errorf("grants: element %d %w", i+1, err)
		}
		steps = append(steps, step{doing: "granting privileges", sql: granted.statement(account), from: optionGrants,
			given: "The root account has to hold what it grants: " + granted.statement("it") + " WITH GRANT OPTION."})
	}
	values := map[string]string{
		placeholderName: quoteString(o.name), placeholderHost: quoteString(hostOf(o.options)), placeholderPassword: quoteString(o.password),
	}
	own, err := renderAll(o.options.List(optionCreationStatements), creationPlaceholders, values)
	if err != nil {
		return nil, fmt.Errorf("creation_statements: %w", err)
	}
	for i, sql := range own {
		steps = append(steps, step{doing: fmt.Sprintf("running creation statement %d", i+1), sql: sql, own: true, from: optionCreationStatements})
	}
	add("unlocking it", "ALTER USER "+account+" ACCOUNT UNLOCK")
	return steps, nil
}

func (o order) createUser() string {
	var sql strings.Builder
	sql.WriteString("CREATE USER " + o.account())
	if o.mariaDB {
		// MariaDB writes the statement to its logs as it came: the hash serves as well.
		sql.WriteString(" IDENTIFIED VIA mysql_native_password USING " + quoteString(o.hash))
	} else {
		sql.WriteString(" IDENTIFIED BY " + quoteString(o.password))
	}
	if o.options.Boolean(optionRequireTLS) {
		sql.WriteString(" REQUIRE SSL")
	} else {
		sql.WriteString(" REQUIRE NONE")
	}
	fmt.Fprintf(&sql, " WITH MAX_USER_CONNECTIONS %d PASSWORD EXPIRE NEVER ACCOUNT LOCK", o.options.Integer(optionConnectionLimit))
	if !o.mariaDB {
		fmt.Fprintf(&sql, " ATTRIBUTE %s", quoteString(fmt.Sprintf(`{"broker_cluster": "%s", "broker_lease": "%s"}`, plain(o.clusterID), plain(o.leaseID))))
	}
	return sql.String()
}

func roleList(roles []string) string {
	quoted := make([]string, len(roles))
	for i, role := range roles {
		quoted[i] = quoteName(role)
	}
	return strings.Join(quoted, ", ")
}

// nativeHash is what mysql_native_password keeps of a password.
func nativeHash(password string) string {
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}
