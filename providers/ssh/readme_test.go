package ssh_test

import (
	"os"
	"strings"
	"testing"

	"broker/providers/ssh/sshtest"
)

// The page's lines for hosts are those that the tests' sshd has.
func TestReadmePreparesTheHost(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := sshtest.HostLines("/etc/ssh/broker-ca.pub", "/etc/ssh/broker.krl"); !strings.Contains(string(content), "```\n"+lines+"\n```") {
		t.Errorf("the page lacks the lines:\n%s", lines)
	}
}
