package daemon

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
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
	if err := checkAddresses(loader); err != nil {
		return clusterConfig{}, fmt.Errorf("finding the API server: %w", err)
	}
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return clusterConfig{}, errors.New("finding the API server: no kubeconfig; use --kubeconfig, set $KUBECONFIG, or run in a pod with a service account")
	}
	if err != nil {
		return clusterConfig{}, fmt.Errorf("finding the API server: %w", err)
	}
	if err := moveUserInfo(config); err != nil {
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

// connect makes a cluster for a command that asks it something and prints the answer. What client-go would say to the log by
// itself is in the errors that it returns.
func connect(where clusterConfig) (*kube.Cluster, error) {
	if err := telemetry.RouteKlog(logr.Discard(), 0); err != nil {
		return nil, err
	}
	return kube.New(where.rest, kube.Options{})
}
