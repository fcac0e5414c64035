package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	alertRules = "../../deploy/prometheus/alerts.yml"
	alertTests = "../../deploy/prometheus/alerts_test.yml"
	dashboard  = "../../deploy/grafana/broker.json"
)

// promtool runs Prometheus' own checker.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not in PATH: scripts/need prometheus installs it")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The alert rules are valid, do what their tests say, and each has a test and says what to do.
func TestAlertRules(t *testing.T) {
	promtool(t, "check", "rules", alertRules)
	promtool(t, "test", "rules", alertTests)
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(mustRead(t, alertRules)), &rules); err != nil {
		t.Fatal(err)
	}
	tests, n := mustRead(t, alertTests), 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			n++
			if !strings.Contains(tests, `alertname="`+rule.Alert+`"`) {
				t.Errorf("no test shows that %s fires", rule.Alert)
			}
			if s := rule.Labels["severity"]; s != "warning" && s != "critical" {
				t.Errorf("%s has the severity %q", rule.Alert, s)
			}
			for _, name := range []string{"summary", "description", "runbook"} {
				if text := rule.Annotations[name]; !regexp.MustCompile(`^["A-Z{].+[.]$`).MatchString(text) {
					t.Errorf("%s: its %s is no sentence: %q", rule.Alert, name, text)
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("%d alerts", n)
	}
}

// The dashboard is JSON that Grafana reads, and Prometheus understands each of its questions.
func TestDashboard(t *testing.T) {
	var board struct {
		Title  string
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(mustRead(t, dashboard)), &board); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var questions []rule
	ids := map[int]bool{}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", ".+")
	for _, panel := range board.Panels {
		if ids[panel.ID] {
			t.Errorf("two panels have the id %d", panel.ID)
		}
		ids[panel.ID] = true
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %q asks nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			questions = append(questions, rule{"question", variables.Replace(target.Expr)})
		}
	}
	// As rules they go through the same check; the same one twice would be a fault of rules only.
	groups := map[string]any{}
	var list []any
	for i, q := range questions {
		list = append(list, map[string]any{"name": fmt.Sprintf("question %d", i), "rules": []rule{q}})
	}
	groups["groups"] = list
	data, err := yaml.Marshal(groups)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "questions.yml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", path)
	if len(questions) < 40 || board.Title == "" {
		t.Errorf("%d questions in dashboard %q", len(questions), board.Title)
	}
}
