package awstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"broker/internal/testserver"
)

// ErrNoMoto is returned when the machine has no moto_server.
var ErrNoMoto = errors.New("there is no moto_server, neither in PATH nor where scripts/need moto installs it")

// Config says how to run a server.
type Config struct {
	Dir  string // holds its log; it is made, and must not exist. Empty means a temporary directory
	Port int    // to listen on; zero means a free one
}

// Server is moto, which answers as IAM, STS and S3 do. It keeps everything in memory: stopping it forgets. It checks
// signatures and actions, and knows neither the resources of IAM's actions nor conditions.
type Server struct {
	*testserver.Server
	Admin Key // of an administrator
	Root  Key // of the broker's root account, after Prepare
}

// Run starts a server with an administrator, which from then on wants everybody to sign. The caller calls Close.
func Run(ctx context.Context, config Config) (*Server, error) {
	binary, err := findMoto()
	if err != nil {
		return nil, err
	}
	s := &Server{}
	s.Server, err = testserver.Run(ctx, testserver.Config{
		Name: "moto", Dir: config.Dir, Port: config.Port, AsOurselves: !open(binary),
		Command: func(server *testserver.Server) *exec.Cmd {
			return exec.Command(binary, "-H", testserver.Host, "-p", fmt.Sprint(server.Port()))
		},
		Ready: func(ctx context.Context, server *testserver.Server) error {
			return get(ctx, "http://"+server.Address()+"/moto-api/data.json")
		},
	})
	if err != nil {
		return nil, err
	}
	if err := s.makeAdmin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing moto: %w", err), s.Close())
	}
	return s, nil
}

// Start runs a server for one test and closes it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Run(t.Context(), Config{})
	if err != nil {
		t.Fatalf("starting moto: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing moto: %v", err)
		}
	})
	return s
}

func findMoto() (string, error) {
	if path, err := exec.LookPath("moto_server"); err == nil {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", ErrNoMoto
	}
	path := filepath.Join(cache, "broker", "moto", "bin", "moto_server")
	if _, err := os.Stat(path); err != nil {
		return "", ErrNoMoto
	}
	return path, nil
}

// open reports whether everybody may run what lies at a path. Python's environments often lie in a home directory.
func open(path string) bool {
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// URL returns where it serves.
func (s *Server) URL() string { return "http://" + s.Address() }

// As returns a client of its IAM that signs with a key.
func (s *Server) As(key Key) *iam.Client {
	return iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), Credentials: credentials.NewStaticCredentialsProvider(key.ID, key.Secret, key.Token)})
}

func (s *Server) makeAdmin(ctx context.Context) error {
	anybody := s.As(Key{ID: "anybody", Secret: "anything"})
	var err error
	if s.Admin, err = newUserWith(ctx, anybody, "administrator", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/moto-api/reset-auth", strings.NewReader("0"))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "text/plain")
	return do(request)
}

// newUserWith makes a user with inline policies, and its key.
func newUserWith(ctx context.Context, client *iam.Client, name string, policies ...string) (Key, error) {
	if _, err := client.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}); err != nil {
		return Key{}, err
	}
	for i, policy := range policies {
		if _, err := client.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String(fmt.Sprintf("given%d", i)), PolicyDocument: &policy}); err != nil {
			return Key{}, err
		}
	}
	made, err := client.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		return Key{}, err
	}
	return Key{ID: aws.ToString(made.AccessKey.AccessKeyId), Secret: aws.ToString(made.AccessKey.SecretAccessKey)}, nil
}

// NewRoot makes a user with policies, whose resources moto does not know, and its key.
func (s *Server) NewRoot(ctx context.Context, name string, policies ...string) (Key, error) {
	unbound := make([]string, len(policies))
	for i, policy := range policies {
		unbound[i] = anywhere(policy)
	}
	key, err := newUserWith(ctx, s.As(s.Admin), name, unbound...)
	if err != nil {
		return Key{}, fmt.Errorf("making root account %s: %w", name, err)
	}
	return key, nil
}

// Prepare makes the bucket reports with its object, the group readers, the role reader and the broker's root account
// by the policies of the providers' pages, and returns the secret of its key.
func (s *Server) Prepare(ctx context.Context) (secret string, err error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("preparing moto: %w", err) }
	if err := s3(ctx, s.URL(), s.Admin, http.MethodPut, "/"+Bucket, ""); err != nil {
		return fail(err)
	}
	if err := s3(ctx, s.URL(), s.Admin, http.MethodPut, "/"+Bucket+"/"+Object, "all is well"); err != nil {
		return fail(err)
	}
	client := s.As(s.Admin)
	if _, err := client.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String(Group)}); err != nil {
		return fail(err)
	}
	if _, err := client.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: aws.String(Group), PolicyName: aws.String("read"), PolicyDocument: aws.String(ReadPolicy)}); err != nil {
		return fail(err)
	}
	if s.Root, err = s.NewRoot(ctx, "broker", RootPolicy, STSRootPolicy); err != nil {
		return "", err
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`
	if _, err := client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("reader"), AssumeRolePolicyDocument: &trust}); err != nil {
		return fail(err)
	}
	if _, err := client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("reader"), PolicyName: aws.String("read"), PolicyDocument: aws.String(ReadPolicy)}); err != nil {
		return fail(err)
	}
	return s.Root.Secret, nil
}

// Connection returns the settings of a connection to it, after Prepare.
func (s *Server) Connection() map[string]any { return connection(s.URL(), s.Root) }

// Options returns options of a secret of aws-iam whose keys read the object.
func (s *Server) Options() map[string]any { return map[string]any{"groups": []any{Group}} }

// LogIn reads the object with the values of a lease.
func (s *Server) LogIn(ctx context.Context, values map[string]string) error {
	return readObject(ctx, s.URL(), Key{values["access_key_id"], values["secret_access_key"], values["session_token"]})
}

// Logins returns the users whose names begin with prefix, as the administrator sees them, in order.
func (s *Server) Logins(ctx context.Context, prefix string) ([]string, error) {
	listed, err := s.As(s.Admin).ListUsers(ctx, &iam.ListUsersInput{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, user := range listed.Users {
		if name := aws.ToString(user.UserName); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return do(request)
}

func do(request *http.Request) error {
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", request.Method, request.URL.Path, answer.Status, content)
	}
	return nil
}

// RoleOptions returns options of a secret of aws-sts whose sessions read the object.
func (s *Server) RoleOptions() map[string]any {
	return map[string]any{"role_arn": "arn:aws:iam::" + Account + ":role/reader"}
}
