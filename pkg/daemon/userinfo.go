package daemon

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// proxySchemes are those that client-go takes in a kubeconfig.
var proxySchemes = []string{"http", "https", "socks5"}

// checkAddresses refuses addresses with a password that client-go would refuse with a message that
// contains them.
func checkAddresses(raw clientcmdapi.Config) error {
	current, ok := raw.Contexts[raw.CurrentContext]
	if !ok {
		return nil
	}
	cluster, ok := raw.Clusters[current.Cluster]
	if !ok {
		return nil
	}
	const advice = "check how it is written; it is not shown because it contains a password"
	if strings.Contains(cluster.Server, "@") {
		u, err := serverURL(&rest.Config{Host: cluster.Server})
		// A password with a ?, # or / in it ends up in other parts of the URL.
		if err != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Host, ":") {
			return fmt.Errorf("the server of cluster %q in the kubeconfig is not a URL: %s", current.Cluster, advice)
		}
	}
	if strings.Contains(cluster.ProxyURL, "@") {
		if u, err := url.Parse(cluster.ProxyURL); err != nil || !slices.Contains(proxySchemes, u.Scheme) {
			return fmt.Errorf("the proxy-url of cluster %q in the kubeconfig is not a URL with one of the schemes %s: %s",
				current.Cluster, strings.Join(proxySchemes, ", "), advice)
		}
	}
	return nil
}

// moveUserInfo takes user and password out of the server's URL and sends them as net/http would
// have done, in a header: client-go writes the URL of every request into its log, and some into
// errors.
func moveUserInfo(config *rest.Config) error {
	if !strings.Contains(config.Host, "@") {
		return nil
	}
	u, err := serverURL(config)
	if err != nil {
		return err
	}
	if u.User == nil {
		return nil
	}
	if config.BearerToken != "" || config.BearerTokenFile != "" || config.Username != "" ||
		config.ExecProvider != nil || config.AuthProvider != nil {
		return errors.New("the server's URL contains a user, and the kubeconfig has other credentials too: remove one of the two")
	}
	config.Username = u.User.Username()
	config.Password, _ = u.User.Password()
	u.User = nil
	config.Host = u.String()
	return nil
}

// serverURL reads Host as client-go does. Its errors do not contain it.
func serverURL(config *rest.Config) (*url.URL, error) {
	u, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, errors.New("the server in the kubeconfig is not a URL") // err has the password in it
	}
	return u, nil
}
