package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"broker/agent"
)

// loads checks that a text is an agent's configuration.
func loads(t *testing.T, text string) *agent.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := agent.Load(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return config
}

// manifest is what is looked at of an object.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Rules    []struct {
		Resources, Verbs []string
		ResourceNames    []string `yaml:"resourceNames"`
	}
}

// The example manifests are YAML, their agents' configurations are right, and the roles name what these write.
func TestKubernetesManifests(t *testing.T) {
	files, err := filepath.Glob("../../deploy/kubernetes/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d manifests, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var configs []*agent.Config
		var named []string
		for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var one manifest
			err := decoder.Decode(&one)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if one.Kind == "" || one.Metadata.Name == "" {
				t.Errorf("%s holds an object without kind or name", file)
			}
			if config, there := one.Data["agent.yaml"]; there {
				configs = append(configs, loads(t, config))
			}
			for _, rule := range one.Rules {
				if slices.Contains(rule.Verbs, "update") {
					named = append(named, rule.ResourceNames...)
				}
			}
		}
		if len(configs) != 1 {
			t.Errorf("%s has %d configurations", file, len(configs))
		}
		for _, config := range configs {
			if config.StateLease == nil {
				continue
			}
			want := []string{config.StateLease.Name}
			for _, one := range config.Secrets {
				want = append(want, one.Kubernetes.Name)
			}
			slices.Sort(named)
			slices.Sort(want)
			if !slices.Equal(named, want) {
				t.Errorf("%s: the role is for %v, the agent writes %v", file, named, want)
			}
		}
	}
}

// What the documentation shows works.
func TestAgentExamples(t *testing.T) {
	example, err := os.ReadFile("../../deploy/example/agent.yaml")
	if err != nil {
		t.Fatal(err)
	}
	loads(t, string(example))
	_, inHelp, _ := strings.Cut(agentExample, "# agent.yaml\n")
	loads(t, inHelp)
	docs, err := os.ReadFile("../../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(docs), -1) {
		if strings.Contains(block[1], "secrets:\n  -") {
			found++
			loads(t, "state: /s\n"+strings.TrimPrefix(strings.ReplaceAll("\n"+block[1], "\nstate:", "\n#"), "\n"))
		}
	}
	if found < 2 {
		t.Errorf("the documentation has %d examples", found)
	}
}

// The unit is one that systemd takes, and locked up.
func TestAgentUnit(t *testing.T) {
	text, err := os.ReadFile("../../deploy/systemd/broker-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "RestartPreventExitStatus=2\n") {
		t.Errorf("a wrong configuration ends with %d", exitUsage)
	}
	self, err := os.Executable() // /usr/bin/brokerctl is not there
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "broker-agent.service")
	if err := os.WriteFile(unit, []byte(strings.Replace(string(text), "/usr/bin/brokerctl", self, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("systemd-analyze is not in PATH: scripts/need systemd installs it")
	}
	if out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "broker-agent.service") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=20", unit).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}
