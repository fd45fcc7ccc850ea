package daemon

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// clusterConfig says how to reach the API server, and where the lease is by default.
type clusterConfig struct {
	rest *rest.Config
	// namespace is where the lease is if the config does not name one.
	namespace string
}

// loadClusterConfig finds the API server, as kubectl does, by the first of these: the file at path,
// $KUBECONFIG, the pod's service account, ~/.kube/config. context names a context of the
// kubeconfig; empty means its current-context. It contacts nothing.
func loadClusterConfig(path, context string) (clusterConfig, error) {
	found, err := findCluster(path, context)
	if err != nil {
		return clusterConfig{}, fmt.Errorf("finding the API server: %w", err)
	}
	return found, nil
}

func findCluster(path, context string) (clusterConfig, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath, rules.WarnIfAllMissing = path, false
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context})
	raw, err := loader.RawConfig()
	if err != nil {
		return clusterConfig{}, err
	}
	if context != "" {
		raw.CurrentContext = context
	}
	if raw.CurrentContext != "" || !inCluster() {
		if err := checkKubeconfig(raw, kubeconfigFiles(rules)); err != nil {
			return clusterConfig{}, err
		}
	}
	if err := checkAddresses(raw); err != nil {
		return clusterConfig{}, err
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return clusterConfig{}, err
	}
	if err := moveUserInfo(config); err != nil {
		return clusterConfig{}, err
	}
	config.UserAgent = "kooperd/" + Version()
	namespace, err := leaseNamespace(loader)
	if err != nil {
		return clusterConfig{}, err
	}
	return clusterConfig{rest: config, namespace: namespace}, nil
}

// inCluster reports whether the process is in a pod with a service account.
func inCluster() bool {
	_, err := rest.InClusterConfig()
	return err == nil
}

// kubeconfigFiles returns the files that the kubeconfig was read from.
func kubeconfigFiles(rules *clientcmd.ClientConfigLoadingRules) []string {
	if rules.ExplicitPath != "" {
		return []string{rules.ExplicitPath}
	}
	return slices.DeleteFunc(slices.Clone(rules.Precedence), func(file string) bool {
		_, err := os.Stat(file)
		return err != nil
	})
}

// checkKubeconfig returns an error that says what the kubeconfig lacks. client-go has one error for
// all of these cases, which does not say.
func checkKubeconfig(raw clientcmdapi.Config, files []string) error {
	names := func(m []string) string { return strings.Join(m, ", ") }
	contexts := slices.Sorted(maps.Keys(raw.Contexts))
	file, current := names(files), raw.Contexts[raw.CurrentContext]
	switch {
	case len(files) == 0 && os.Getenv(clientcmd.RecommendedConfigPathEnvVar) != "":
		return fmt.Errorf("$KUBECONFIG is %q: there is no such file", os.Getenv(clientcmd.RecommendedConfigPathEnvVar))
	case len(files) == 0:
		return errors.New("no kubeconfig; use --kubeconfig, set $KUBECONFIG, or run in a pod with a service account")
	case len(contexts)+len(raw.Clusters)+len(raw.AuthInfos) == 0:
		return fmt.Errorf("the kubeconfig %s is empty: it has no contexts, clusters or users", file)
	case len(contexts) == 0:
		return fmt.Errorf("the kubeconfig %s has no contexts", file)
	case raw.CurrentContext == "":
		return fmt.Errorf("the kubeconfig %s has no current-context; use --context with one of: %s", file, names(contexts))
	case current == nil:
		return fmt.Errorf("the kubeconfig %s has no context %q; it has: %s", file, raw.CurrentContext, names(contexts))
	}
	cluster := raw.Clusters[current.Cluster]
	switch {
	case cluster == nil:
		return fmt.Errorf("the kubeconfig %s has no cluster %q, which context %q names", file, current.Cluster, raw.CurrentContext)
	case cluster.Server == "":
		return fmt.Errorf("the kubeconfig %s has no server for cluster %q", file, current.Cluster)
	case current.AuthInfo != "" && raw.AuthInfos[current.AuthInfo] == nil:
		return fmt.Errorf("the kubeconfig %s has no user %q, which context %q names", file, current.AuthInfo, raw.CurrentContext)
	}
	return nil
}

// connect makes a cluster for a command that asks it something and prints the answer. It silences
// the log of client-go, because the errors of the requests say the same.
func connect(where clusterConfig) (*kube.Cluster, error) {
	if err := silence(); err != nil {
		return nil, err
	}
	return kube.New(where.rest, kube.Options{})
}

// silence turns off the log of client-go.
func silence() error { return telemetry.RouteKlog(logr.Discard(), 0) }
