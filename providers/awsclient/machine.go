package awsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Where AWS tells a machine its own credentials. These and no others are reached past the dialer, which refuses them:
// a connection's fields say that they are asked, and never which.
var (
	instanceService   = netip.MustParseAddr("169.254.169.254")
	containerServices = []netip.Addr{
		netip.MustParseAddr("169.254.170.2"),  // containers of ECS
		netip.MustParseAddr("169.254.170.23"), // pods of EKS
		netip.MustParseAddr("fd00:ec2::23"),
	}
)

// dialing connects to an address; it is replaced in tests.
type dialing func(ctx context.Context, network, address string) (net.Conn, error)

// machine returns the credentials of the machine that this process runs on, from the first place that has any, in the
// order of AWS's own tools: environment, web identity of a pod, container, instance. Files in home directories and
// programs are not asked.
func machine(region string, stsOptions sts.Options) aws.CredentialsProvider {
	return machineOf(os.Getenv, (&net.Dialer{Timeout: 2 * time.Second}).DialContext, region, stsOptions)
}

func machineOf(env func(string) string, dial dialing, region string, stsOptions sts.Options) aws.CredentialsProvider {
	if id, secret := env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"); id != "" && secret != "" {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: env("AWS_SESSION_TOKEN"), Source: "environment"}, nil
		})
	}
	if file, role := env("AWS_WEB_IDENTITY_TOKEN_FILE"), env("AWS_ROLE_ARN"); file != "" && role != "" {
		stsOptions.Credentials = aws.AnonymousCredentials{}
		if endpoint := env("AWS_ENDPOINT_URL_STS"); endpoint != "" { // the operator's word, as AWS's own tools take it
			stsOptions.BaseEndpoint = &endpoint
		}
		return stscreds.NewWebIdentityRoleProvider(sts.New(stsOptions), role, stscreds.IdentityTokenFile(file), func(o *stscreds.WebIdentityRoleOptions) {
			o.RoleSessionName = env("AWS_ROLE_SESSION_NAME")
		})
	}
	if relative, full := env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), env("AWS_CONTAINER_CREDENTIALS_FULL_URI"); relative != "" || full != "" {
		endpoint := full
		if relative != "" {
			endpoint = "http://" + containerServices[0].String() + relative
		}
		return container(env, dial, endpoint)
	}
	return ec2rolecreds.New(func(o *ec2rolecreds.Options) {
		o.Client = imds.New(imds.Options{
			HTTPClient: onlyTo(dial, instanceService), Endpoint: "http://" + instanceService.String(), EnableFallback: aws.FalseTernary,
		})
	})
}

func container(env func(string) string, dial dialing, endpoint string) aws.CredentialsProvider {
	if u, err := url.Parse(endpoint); err != nil || !isContainerService(u.Hostname()) {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("AWS_CONTAINER_CREDENTIALS_FULL_URI does not lead to the credentials of ECS or EKS")
		})
	}
	return endpointcreds.New(endpoint, func(o *endpointcreds.Options) {
		o.HTTPClient = onlyTo(dial, containerServices...)
		o.AuthorizationToken = env("AWS_CONTAINER_AUTHORIZATION_TOKEN")
		if file := env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
			o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
				token, err := os.ReadFile(file) // each time: it is replaced while we run
				return strings.TrimSpace(string(token)), err
			})
		}
	})
}

func isContainerService(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && slices.Contains(containerServices, addr)
}

// onlyTo is a client that connects to these addresses, and to none that an answer names.
func onlyTo(dial dialing, addresses ...netip.Addr) *http.Client {
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				addr, err := netip.ParseAddr(host)
				if err != nil || !slices.Contains(addresses, addr) {
					return nil, fmt.Errorf("%s is no place where AWS tells a machine its credentials", host)
				}
				return dial(ctx, network, address)
			},
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
