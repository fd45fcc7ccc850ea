package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

const canary = "CaNaRy-7351"

// kubeconfigWith writes a kubeconfig with further lines for its cluster and its user.
func kubeconfigWith(t *testing.T, server, proxy, user string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],
clusters: [{name: k, cluster: {server: %q, proxy-url: %q}}], users: [{name: u, user: {%s}}]}`, server, proxy, user)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUserInfoOfTheServer(t *testing.T) {
	tests := map[string]struct {
		server, user   string
		wantHost, name string
	}{
		"user and password":  {server: "https://ann:" + canary + "@host:6443/prefix", wantHost: "https://host:6443/prefix", name: "ann"},
		"escaped":            {server: "https://a%40nn:" + canary + "@host", wantHost: "https://host", name: "a@nn"},
		"no scheme":          {server: "ann:" + canary + "@host:6443", wantHost: "http://host:6443", name: "ann"},
		"no user":            {server: "https://host:6443", wantHost: "https://host:6443"},
		"an @ in the path":   {server: "https://host/a@b", wantHost: "https://host/a@b"},
		"client certificate": {server: "https://ann:" + canary + "@host", user: "client-certificate-data: YQ==, client-key-data: YQ==", wantHost: "https://host", name: "ann"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			where, err := loadClusterConfig(kubeconfigWith(t, tc.server, "", tc.user), "")
			if err != nil {
				t.Fatal(err)
			}
			wantPassword := ""
			if tc.name != "" {
				wantPassword = canary
			}
			if got := where.rest; got.Host != tc.wantHost || got.Username != tc.name || got.Password != wantPassword {
				t.Errorf("host %q, user %q, password %q; want %q, %q, %q", got.Host, got.Username, got.Password, tc.wantHost, tc.name, wantPassword)
			}
		})
	}
}

// TestBadAddressesKeepTheirSecret looks for the password in the errors of kubeconfigs that cannot
// be used.
func TestBadAddressesKeepTheirSecret(t *testing.T) {
	secret := "u:" + canary + "@"
	tests := map[string]struct{ server, proxy, user, want string }{
		"port":                {server: "https://" + secret + "host:port", want: "not a URL"},
		"slash in password":   {server: "https://u:/" + canary + "@host", want: "not a URL"},
		"port in password":    {server: "https://u:" + canary + "/@host", want: "not a URL"},
		"question mark":       {server: "https://u:1?" + canary + "@host", want: "not a URL"},
		"hash":                {server: "https://u:1#" + canary + "@host", want: "not a URL"},
		"space":               {server: "https://" + secret + "ho st", want: "not a URL"},
		"no scheme, path":     {server: secret + "host/path", want: "not a URL"},
		"proxy port":          {server: "https://host", proxy: "http://" + secret + "proxy:port", want: "proxy-url"},
		"proxy scheme":        {server: "https://host", proxy: "ftp://" + secret + "proxy", want: "proxy-url"},
		"proxy without one":   {server: "https://host", proxy: secret + "proxy:3128", want: "proxy-url"},
		"token besides":       {server: "https://" + secret + "host", user: "token: " + canary, want: "other credentials"},
		"user name besides":   {server: "https://" + secret + "host", user: "username: a, password: " + canary, want: "other credentials"},
		"two ways to log in":  {server: "https://host", user: "username: a, password: " + canary + ", token: " + canary, want: "more than one authentication method"},
		"token of wrong type": {server: "https://host", user: "token: [" + canary + "]", want: "finding the API server"},
		"bad key":             {server: "https://host", user: "client-key-data: \"" + canary + "\"", want: "illegal base64"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			where, err := loadClusterConfig(kubeconfigWith(t, tc.server, tc.proxy, tc.user), "")
			if err == nil {
				t.Fatalf("the kubeconfig is taken, with the host %s", where.rest.Host)
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), canary) {
				t.Errorf("the error is %q, want %q and no password", err, tc.want)
			}
		})
	}
}

func TestMoveUserInfoOfABadHost(t *testing.T) {
	err := moveUserInfo(&rest.Config{Host: "https://u:" + canary + "@ho st"})
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("the error is %v, want one without the password", err)
	}
}
