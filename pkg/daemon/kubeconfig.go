package daemon

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// serviceAccountNamespace is where a pod finds the namespace of its service account.
const serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// clusterConfig is how to reach the API server, and where.
type clusterConfig struct {
	rest *rest.Config
	// namespace is where the lease is when the config does not say.
	namespace string
}

// loadClusterConfig finds the API server as kubectl does: the given file, $KUBECONFIG, the pod's service account,
// ~/.kube/config.
func loadClusterConfig(path string) (clusterConfig, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return clusterConfig{}, errors.New("finding the API server: no kubeconfig; use --kubeconfig, set $KUBECONFIG, or run in a pod with a service account")
	}
	if err != nil {
		return clusterConfig{}, fmt.Errorf("finding the API server: %w", err)
	}
	config.UserAgent = "kooperd/" + Version()
	namespace, err := leaseNamespace(loader)
	if err != nil {
		return clusterConfig{}, err
	}
	return clusterConfig{rest: config, namespace: namespace}, nil
}

func leaseNamespace(loader clientcmd.ClientConfig) (string, error) {
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		return ns, nil
	}
	if b, err := os.ReadFile(serviceAccountNamespace); err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	ns, _, err := loader.Namespace() // "default" when the context names none.
	if err != nil {
		return "", fmt.Errorf("finding the lease's namespace: %w", err)
	}
	return ns, nil
}
