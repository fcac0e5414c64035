package awssts_test

import (
	"os"
	"strings"
	"testing"

	"broker/providers/awsclient/awstest"
)

// The page's policies are those that the tests give to their root account.
func TestReadmePreparesTheRootAccount(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range []string{awstest.STSRootPolicy, awstest.STSDenyPolicy} {
		if !strings.Contains(string(content), "```json\n"+policy+"\n```") {
			t.Errorf("the page lacks the policy:\n%s", policy)
		}
	}
}
