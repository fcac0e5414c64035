package mysql

import (
	"time"

	"broker/providers"
)

// Preview shows the statements that make a login. Where the two servers are told different ones, it shows both.
func (Provider) Preview(_ providers.Settings, options providers.Options, name providers.LoginName, _ time.Time) []string {
	ordered := order{
		name: string(name), options: options, password: "{{password}}", hash: "{{hash of the password}}",
		clusterID: "CLUSTER", leaseID: "LEASE", mark: markPrefix("CLUSTER") + "…",
	}
	atMySQL, err := ordered.steps()
	if err != nil {
		return []string{err.Error()}
	}
	ordered.mariaDB = true
	atMariaDB, err := ordered.steps()
	if err != nil {
		return []string{err.Error()}
	}
	both := map[string]bool{}
	for _, step := range atMySQL {
		both[step.sql] = true
	}
	var lines []string
	next := 0
	for _, step := range atMariaDB {
		if !both[step.sql] {
			lines = append(lines, "MariaDB: "+step.sql)
			continue
		}
		for ; atMySQL[next].sql != step.sql; next++ {
			lines = append(lines, "MySQL: "+atMySQL[next].sql)
		}
		lines = append(lines, step.sql)
		next++
	}
	return lines
}
