package awsclient

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"broker/providers"
)

// recorder answers every call without a network and remembers where it was to go.
type recorder struct {
	partition string

	mu   sync.Mutex
	sent []string
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	scope := strings.Split(request.Header.Get("Authorization"), "/")
	r.sent = append(r.sent, request.URL.Scheme+"://"+request.URL.Host+" signed for "+scope[2])
	body := "<ListUsersResponse><ListUsersResult><IsTruncated>false</IsTruncated></ListUsersResult></ListUsersResponse>"
	if scope[3] == "sts" {
		body = fmt.Sprintf("<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:%s:iam::123456789012:user/broker</Arn><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>", r.partition)
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
}

func settings(t *testing.T, overrides map[string]any) providers.Settings {
	t.Helper()
	values := map[string]any{"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "secret"}
	for name, value := range overrides {
		values[name] = value
	}
	validated, problems := providers.Description{Name: "aws", Connection: Fields()}.ValidateConnection(values)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return validated
}

// The region leads to the partition's own IAM and to the region's STS; nothing of the environment leads elsewhere.
func TestPartitions(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "http://elsewhere.example")
	t.Setenv("AWS_REGION", "sa-east-1")
	t.Setenv("AWS_USE_FIPS_ENDPOINT", "true")
	for _, test := range []struct {
		region, partition, sts, iam string
		endpoint, stsEndpoint       string
	}{
		{region: "us-east-1", partition: "aws", sts: "https://sts.us-east-1.amazonaws.com signed for us-east-1", iam: "https://iam.amazonaws.com signed for us-east-1"},
		{region: "eu-central-1", partition: "aws", sts: "https://sts.eu-central-1.amazonaws.com signed for eu-central-1", iam: "https://iam.amazonaws.com signed for us-east-1"},
		{region: "us-gov-west-1", partition: "aws-us-gov", sts: "https://sts.us-gov-west-1.amazonaws.com signed for us-gov-west-1", iam: "https://iam.us-gov.amazonaws.com signed for us-gov-west-1"},
		{region: "cn-northwest-1", partition: "aws-cn", sts: "https://sts.cn-northwest-1.amazonaws.com.cn signed for cn-northwest-1", iam: "https://iam.cn-north-1.amazonaws.com.cn signed for cn-north-1"},
		{region: "eu-central-1", partition: "aws", endpoint: "https://aws.internal", sts: "https://aws.internal signed for eu-central-1", iam: "https://aws.internal signed for eu-central-1"},
		{region: "eu-central-1", partition: "aws", stsEndpoint: "https://sts.internal", sts: "https://sts.internal signed for eu-central-1", iam: "https://iam.amazonaws.com signed for us-east-1"},
	} {
		c, err := New(settings(t, map[string]any{"region": test.region, "endpoint": test.endpoint, "sts_endpoint": test.stsEndpoint}), providers.Env{})
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{partition: test.partition}
		c.http.Transport = r
		caller, err := c.Caller(t.Context())
		if err != nil || string(caller.SystemID()) != test.partition+":123456789012" {
			t.Errorf("%s: system is %q, %v, want one of %s", test.region, caller.SystemID(), err, test.partition)
		}
		if _, err := c.IAM.ListUsers(t.Context(), &iam.ListUsersInput{MaxItems: aws.Int32(1)}); err != nil {
			t.Errorf("%s: %v", test.region, err)
		}
		if got := strings.Join(r.sent, ", "); got != test.sts+", "+test.iam {
			t.Errorf("%s: sent to %s\nwant %s, %s", test.region, got, test.sts, test.iam)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, test := range []struct {
		overrides map[string]any
		says      string // "" when they are fine
	}{
		{nil, ""},
		{map[string]any{"region": "Frankfurt"}, "no region"},
		{map[string]any{"access_key_id": ""}, "are required"},
		{map[string]any{"secret_access_key": ""}, "are required"},
		{map[string]any{"access_key_id": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, "no id of a key"},
		{map[string]any{"credentials": "default"}, "takes no access_key_id"},
		{map[string]any{"credentials": "default", "access_key_id": "", "secret_access_key": ""}, ""},
		{map[string]any{"role_arn": "arn:aws:iam::123456789012:role/a/b", "external_id": "x"}, ""},
		{map[string]any{"role_arn": "broker"}, "is no role"},
		{map[string]any{"role_arn": "arn:aws-cn:iam::123456789012:role/b"}, "partition aws-cn"},
		{map[string]any{"external_id": "x"}, "for a role_arn only"},
		{map[string]any{"endpoint": "iam.internal"}, "is no URL"},
		{map[string]any{"endpoint": "https://user:hunter2hunter2@iam.internal"}, "has an account"},
		{map[string]any{"tls_ca": "x"}, "no certificate"},
	} {
		_, err := New(settings(t, test.overrides), providers.Env{})
		if (test.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v: got %v, want %q", test.overrides, err, test.says)
		}
		if err != nil && (strings.Contains(err.Error(), "wJalr") || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%v: the error shows a secret: %v", test.overrides, err)
		}
	}
	for says, overrides := range map[string]map[string]any{
		"not encrypted": {"endpoint": "http://moto.internal:5000"},
		"temporary one": {"access_key_id": "ASIAIOSFODNN7EXAMPLE"},
		"machine":       {"credentials": "default"},
	} {
		if got := Warnings(settings(t, overrides)); len(got) != 1 || !strings.Contains(got[0], says) {
			t.Errorf("%v: warnings %v, want one with %q", overrides, got, says)
		}
	}
	if got := Warnings(settings(t, map[string]any{"endpoint": "http://127.0.0.1:5000"})); len(got) > 0 {
		t.Errorf("warnings on loopback: %v", got)
	}
}

// A connection cannot have the broker ask the machine's metadata service, whatever it says.
func TestEndpointIsDialledLikeAnyOther(t *testing.T) {
	for _, endpoint := range []string{"http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]", "http://169.254.170.2"} {
		c, err := New(settings(t, map[string]any{"endpoint": endpoint}), providers.Env{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Prove(t.Context())
		e, ok := err.(*providers.Error)
		if !ok || e.Kind != providers.KindUnavailable || !e.NotSent || !strings.Contains(e.Error(), "address refused") {
			t.Errorf("%s: got %v, want an address refused", endpoint, err)
		}
	}
}
