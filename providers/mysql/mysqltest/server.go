package mysqltest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/go-sql-driver/mysql"

	"broker/internal/testserver"
)

// Host is the address that every server listens on.
const Host = testserver.Host

// AdminName is the name of an account that may do everything.
const AdminName = "admin"

// ErrNoBinaries is returned when the machine has no MariaDB server.
var ErrNoBinaries = errors.New("no MariaDB server on this machine: mariadbd and mariadb-install-db are in neither PATH nor /usr/sbin (Debian: apt-get install mariadb-server)")

// Config says how to run a server.
type Config struct {
	// MySQL is the path of a mysqld of MySQL to run. Empty means the machine's MariaDB.
	MySQL string

	// Dir holds the server's data and log; it is made, and must not exist. Empty means a temporary directory. When the
	// server's user cannot reach Dir a temporary directory is used as well.
	Dir string

	// Port to listen on. Zero means a free one.
	Port int

	// Detached lets the server outlive this process. Otherwise it dies with it.
	Detached bool
}

// Server is a running server that speaks TLS. Its methods are safe for concurrent use, except that only one of Stop,
// Start, Pause and Resume may run at a time.
type Server struct {
	*testserver.Server
	MariaDB       bool
	AdminPassword string
	Authority     string // the certificate, in PEM, that the server's is checked against

	binary       string
	installer    string // MariaDB's
	rootPassword string // set by Prepare
}

// Run makes a data directory and starts a server on it. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	s := &Server{MariaDB: config.MySQL == "", AdminPassword: rand.Text(), binary: config.MySQL}
	if s.MariaDB {
		var err error
		if s.binary, err = find("mariadbd"); err != nil {
			return nil, err
		}
		if s.installer, err = find("mariadb-install-db"); err != nil {
			return nil, err
		}
	}
	server, err := testserver.Run(ctx, testserver.Config{
		Name: "MariaDB or MySQL", Dir: config.Dir, Port: config.Port, Detached: config.Detached, Users: []string{"mysql"},
		Setup: func(ctx context.Context, server *testserver.Server) error {
			s.Server = server
			return s.initialise(ctx)
		},
		Command: func(*testserver.Server) *exec.Cmd { return exec.Command(s.binary, s.arguments()...) },
		Ready: func(ctx context.Context, _ *testserver.Server) error {
			admin := s.Admin()
			defer admin.Close()
			return admin.PingContext(ctx)
		},
	})
	if err != nil {
		return nil, err
	}
	s.Server = server
	return s, nil
}

func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", name)
	if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
		return path, nil
	}
	return "", ErrNoBinaries
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// StatementLog returns the file that takes every statement.
func (s *Server) StatementLog() string { return filepath.Join(s.Dir, "statements.log") }

func (s *Server) initialise(ctx context.Context) error {
	made, err := testserver.NewCertificates("localhost", Host)
	if err != nil {
		return err
	}
	s.Authority = made.Authority
	// Carried out at each start.
	account := "'" + AdminName + "'@'" + Host + "'"
	admin := "CREATE USER IF NOT EXISTS " + account + " IDENTIFIED BY '" + s.AdminPassword + "';\nGRANT ALL PRIVILEGES ON *.* TO " + account + " WITH GRANT OPTION;\n"
	if !s.MariaDB {
		admin += "ALTER USER 'root'@'localhost' IDENTIFIED BY '" + s.AdminPassword + "';\n"
	}
	for name, content := range map[string]string{"ca.pem": made.Authority, "server.crt": made.Certificate, "server.key": made.Key, "admin.sql": admin} {
		if _, err := s.Write(name, []byte(content)); err != nil {
			return err
		}
	}
	if s.MariaDB {
		_, err = s.Exec(ctx, nil, s.installer, "--no-defaults", "--datadir="+s.data(), "--skip-test-db", "--skip-name-resolve")
	} else {
		_, err = s.Exec(ctx, nil, s.binary, "--no-defaults", "--initialize-insecure", "--datadir="+s.data())
	}
	return err
}

func (s *Server) arguments() []string {
	in := func(name string) string { return filepath.Join(s.Dir, name) }
	arguments := []string{
		"--no-defaults", "--datadir=" + s.data(), "--bind-address=" + Host, fmt.Sprintf("--port=%d", s.Port()), "--socket=" + in("socket"), "--pid-file=" + in("pid"),
		"--init-file=" + in("admin.sql"), "--skip-name-resolve", "--ssl-ca=" + in("ca.pem"), "--ssl-cert=" + in("server.crt"), "--ssl-key=" + in("server.key"),
		"--general-log=1", "--general-log-file=" + s.StatementLog(), "--max-connections=300",
		"--innodb-flush-log-at-trx-commit=0", "--log-bin=" + in("data/binlog"), "--server-id=1", "--sync-binlog=0",
	}
	if !s.MariaDB {
		arguments = append(arguments, "--mysqlx=OFF", "--secure-file-priv=NULL")
	}
	return arguments
}

// Admin returns connections of the account that may do everything. The caller closes them.
func (s *Server) Admin() *sql.DB { return s.Connect(AdminName, s.AdminPassword, "") }

// Connect returns connections as a user would have them, over TLS. The caller closes them.
func (s *Server) Connect(username, password, database string) *sql.DB {
	config := s.config(username, password, database)
	config.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: Host, MinVersion: tls.VersionTLS12}
	config.TLS.RootCAs.AppendCertsFromPEM([]byte(s.Authority))
	return open(config)
}

// ConnectInClear returns connections without TLS. The caller closes them.
func (s *Server) ConnectInClear(username, password, database string) *sql.DB {
	return open(s.config(username, password, database))
}

func (s *Server) config(username, password, database string) *mysql.Config {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", s.Address()
	config.User, config.Passwd, config.DBName = username, password, database
	config.Logger = log.New(io.Discard, "", 0)
	return config
}

func open(config *mysql.Config) *sql.DB {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		panic(err) // it names files and keys only, and ours has none
	}
	return sql.OpenDB(connector)
}

// SQL runs statements as the administrator, one after the other on one connection.
func (s *Server) SQL(ctx context.Context, statements ...string) error {
	admin := s.Admin()
	defer admin.Close()
	conn, err := admin.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("running %q: %w", statement, err)
		}
	}
	return nil
}
