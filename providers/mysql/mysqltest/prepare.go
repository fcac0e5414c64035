package mysqltest

import (
	"context"
	"crypto/rand"
	"fmt"
)

// What Prepare makes.
const (
	RootName = "broker"   // the root account, which may not do everything
	Database = "orders"   // a database with a table orders of three rows
	ReadRole = "readonly" // a role that may read it
)

// RootStatements returns the statements by which an administrator prepares the broker's root account. They are those of
// the provider's page; names and password are put in as they are.
func RootStatements(mariaDB bool, password string, roles ...string) []string {
	const account = "'" + RootName + "'@'%'"
	statements := []string{
		"CREATE USER " + account + " IDENTIFIED BY '" + password + "'",
		"GRANT CREATE USER, PROCESS, CONNECTION_ADMIN ON *.* TO " + account,
		"GRANT SELECT (Host, User, User_attributes, Super_priv, Create_user_priv, Grant_priv) ON mysql.user TO " + account,
		"GRANT SELECT ON mysql.role_edges TO " + account,
	}
	if mariaDB {
		statements = []string{
			"EXECUTE IMMEDIATE CONCAT('CREATE ROLE broker_system_', REPLACE(UUID(), '-', ''))",
			"CREATE USER " + account + " IDENTIFIED BY '" + password + "'",
			"GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.* TO " + account,
			"GRANT SELECT (Host, User, Super_priv, Create_user_priv, Grant_priv) ON mysql.user TO " + account,
			"GRANT SELECT ON mysql.roles_mapping TO " + account,
			"GRANT UPDATE ON mysql.* TO " + account,
		}
	}
	for _, role := range roles {
		statements = append(statements, "GRANT "+role+" TO "+account+" WITH ADMIN OPTION")
	}
	return statements
}

// GrantStatement is what lets the root account grant privileges on a database itself, for the option "grants".
func GrantStatement(database string) string {
	return "GRANT SELECT, INSERT, UPDATE, DELETE ON " + database + ".* TO '" + RootName + "'@'%' WITH GRANT OPTION"
}

// Prepare makes the database orders with its table, the role readonly and the root account, and returns the root
// account's password.
func (s *Server) Prepare(ctx context.Context) (rootPassword string, err error) {
	rootPassword = rand.Text()
	err = s.SQL(ctx,
		"CREATE DATABASE "+Database,
		"CREATE TABLE "+Database+".orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, customer VARCHAR(100) NOT NULL, placed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
		"INSERT INTO "+Database+".orders (customer) VALUES ('Ada'), ('Grace'), ('Edsger')",
		"CREATE ROLE "+ReadRole,
		"GRANT SELECT ON "+Database+".* TO "+ReadRole,
	)
	if err != nil {
		return "", fmt.Errorf("preparing database %s: %w", Database, err)
	}
	statements := append(RootStatements(s.MariaDB, rootPassword, ReadRole), GrantStatement(Database))
	if err := s.SQL(ctx, statements...); err != nil {
		return "", fmt.Errorf("preparing the root account: %w", err)
	}
	s.rootPassword = rootPassword
	return rootPassword, nil
}

// Connection returns the settings of a connection to the server, once Prepare has been called.
func (s *Server) Connection() map[string]any {
	return map[string]any{
		"host": Host, "port": s.Port(), "database": Database, "username": RootName, "password": s.rootPassword, "tls_ca": s.Authority,
	}
}

// Options returns options of a secret whose logins may read the table orders.
func (s *Server) Options() map[string]any { return map[string]any{"roles": ReadRole} }

// LogIn logs in with the values of a lease, reads the table orders and logs out. Nil means that the log-in was accepted
// and the table read.
func (s *Server) LogIn(ctx context.Context, values map[string]string) error {
	db := s.Connect(values["username"], values["password"], values["database"])
	defer db.Close()
	var n int
	return db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+Database+".orders").Scan(&n)
}

// Logins returns the names of the accounts that begin with the prefix.
func (s *Server) Logins(ctx context.Context, prefix string) ([]string, error) {
	admin := s.Admin()
	defer admin.Close()
	rows, err := admin.QueryContext(ctx, "SELECT DISTINCT User FROM mysql.user WHERE LEFT(User, CHAR_LENGTH(?)) = ? ORDER BY User", prefix, prefix)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
