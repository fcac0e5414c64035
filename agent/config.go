package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"broker/api/types"
)

// Config is what agent.yaml says, checked and with its defaults.
type Config struct {
	Broker       Broker      `yaml:"broker"`
	State        string      `yaml:"state"`
	StateLease   *ObjectName `yaml:"state_lease"`
	Kubernetes   Cluster     `yaml:"kubernetes"`
	Metrics      string      `yaml:"metrics"`
	Exposed      bool        `yaml:"metrics_exposed"`
	RevokeAtExit bool        `yaml:"revoke_at_exit"`
	Secrets      []*Secret   `yaml:"secrets"`
	Files        []*File     `yaml:"files"`

	path string
}

// Broker says where the broker is and who signs in; what is empty comes from flags and variables.
type Broker struct {
	Addresses        []string `yaml:"addresses"`
	CACert           string   `yaml:"ca_cert"`
	ClientID         string   `yaml:"client_id"`
	ClientSecretFile string   `yaml:"client_secret_file"`
	TokenFile        string   `yaml:"token_file"`
}

// Secret is one secret of which a lease is kept, and what is written of that lease alone.
type Secret struct {
	Secret     string            `yaml:"secret"`
	As         string            `yaml:"as"` // its name here; the last part of Secret unless said
	TTL        duration          `yaml:"ttl"`
	Overlap    duration          `yaml:"overlap"`
	Name       string            `yaml:"name"`
	Labels     map[string]string `yaml:"labels"`
	Parameters map[string]any    `yaml:"parameters"`
	Required   *bool             `yaml:"required"` // nil: true
	OnLost     string            `yaml:"on_lost"`  // keep or remove
	Files      []*File           `yaml:"files"`
	Kubernetes *Object           `yaml:"kubernetes"`
	Reload     *Reload           `yaml:"reload"`

	line int
}

// File is one file to write.
type File struct {
	Path            string   `yaml:"path"`
	Secrets         []string `yaml:"secrets"` // names of secrets, for a file at the top level
	Format          string   `yaml:"format"`  // env, shell, json, value or template
	Key             string   `yaml:"key"`     // with format value
	Template        string   `yaml:"template"`
	TemplateFile    string   `yaml:"template_file"`
	Mode            mode     `yaml:"mode"`
	Owner           string   `yaml:"owner"`
	Group           string   `yaml:"group"`
	CreateDirectory bool     `yaml:"create_directory"`
	Reload          *Reload  `yaml:"reload"`

	line         int
	templateLine int
	uid, gid     int
}

// Object is one Kubernetes Secret to write.
type Object struct {
	ObjectName  `yaml:",inline"`
	Keys        map[string]string `yaml:"keys"`      // keys of the Secret to keys of the lease; empty, without templates: all as they are
	Templates   map[string]string `yaml:"templates"` // keys of the Secret to templates
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
	Type        string            `yaml:"type"` // Opaque unless said

	line int
}

// ObjectName names an object of Kubernetes. Without a namespace it is the agent's own.
type ObjectName struct {
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
}

// Cluster says how the API server of Kubernetes is reached; what is empty is as in a pod.
type Cluster struct {
	Server    string `yaml:"server"`
	TokenFile string `yaml:"token_file"`
	CACert    string `yaml:"ca_cert"`
}

// Reload tells the readers of what was written: by a command, a shell's line or a signal.
type Reload struct {
	Exec    []string `yaml:"exec"`
	Shell   string   `yaml:"shell"`
	Signal  *Signal  `yaml:"signal"`
	Timeout duration `yaml:"timeout"` // 30 s unless said

	line int
}

// Signal is sent to the process whose id is in a file.
type Signal struct {
	Pidfile string `yaml:"pidfile"`
	Signal  string `yaml:"signal"` // HUP unless said
}

// duration is a length of time as people write it.
type duration time.Duration

// UnmarshalYAML reads it.
func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	read, err := types.ParseDuration(node.Value)
	if err == nil && read <= 0 {
		err = errors.New("must be longer than zero")
	}
	if err != nil {
		return fmt.Errorf("line %d: %q %w", node.Line, node.Value, err)
	}
	*d = duration(read)
	return nil
}

// mode is a file's permissions.
type mode fs.FileMode

// UnmarshalYAML reads it, in octal however it is written.
func (m *mode) UnmarshalYAML(node *yaml.Node) error {
	bits, err := strconv.ParseUint(strings.TrimPrefix(node.Value, "0o"), 8, 32)
	if err != nil || bits > 0o777 || bits&0o400 == 0 || bits&0o002 != 0 {
		return fmt.Errorf("line %d: mode %q must be octal permissions such as 0600 or 0640, readable by its owner and not writable by everybody", node.Line, node.Value)
	}
	*m = mode(bits)
	return nil
}

// Load reads and checks a configuration. Its error names file and line, and what would be right there.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	c := &Config{path: path}
	if err := c.parse(text); err != nil {
		return nil, err
	}
	return c, c.check()
}

// wrong is an error at a line.
func (c *Config) wrong(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", c.path, line, fmt.Errorf(format, args...))
}

// String says how much it is.
func (c *Config) String() string {
	files, objects := len(c.Files), 0
	for _, one := range c.Secrets {
		files += len(one.Files)
		if one.Kubernetes != nil {
			objects++
		}
	}
	return fmt.Sprintf("secrets: %d, files: %d, Kubernetes Secrets: %d", len(c.Secrets), files, objects)
}
