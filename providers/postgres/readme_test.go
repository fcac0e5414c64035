package postgres_test

import (
	"os"
	"strings"
	"testing"

	"broker/providers/postgres"
	"broker/providers/postgres/postgrestest"
)

// The page's statements are those that the tests prepare their root account with.
func TestReadmePreparesTheRootAccount(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, major := range []int{15, 16} {
		block := "```sql\n" + strings.Join(postgrestest.RootStatements(major, "change-me", postgrestest.ReadRole), ";\n") + ";\n```"
		if !strings.Contains(string(content), block) {
			t.Errorf("the page lacks the statements for PostgreSQL %d:\n%s", major, block)
		}
	}
}

func TestDescriptionIsConsistent(t *testing.T) {
	d := postgres.Provider{}.Describe()
	settings, problems := d.ValidateConnection(map[string]any{"host": "db", "database": "orders", "username": "broker", "password": "p"})
	if len(problems) > 0 || settings.Integer("port") != 5432 || settings.Integer("max_connections") != 8 {
		t.Errorf("got %v, %v", settings, problems)
	}
	if public, secret := d.SplitSecrets(settings); len(secret) != 1 || public["password"] != nil {
		t.Errorf("secret fields are %v, want the password only", secret)
	}
}
