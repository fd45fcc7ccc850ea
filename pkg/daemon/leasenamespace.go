package daemon

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/clientcmd"

	"kooperd.dev/kooperd/pkg/config"
)

// serviceAccountNamespace is where a pod finds the namespace of its service account.
const serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// leaseNamespace returns where a process finds the lease when its config does not say:
// $POD_NAMESPACE, the namespace of the pod's service account, that of the kubeconfig's context, or
// "default".
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

// podLeaseNamespace returns where kooperd finds the lease in a pod of a service account, for
// commands that print manifests for it: what the config says, --namespace, or the account's own. It
// is empty if none of them says. note is for the reader of the manifests if the config does not
// say.
func podLeaseNamespace(cfg config.LeaderElection, flag string, account types.NamespacedName) (namespace, note string, err error) {
	const unnamed = "the config names no namespace for the lease; this one is "
	switch {
	case cfg.Namespace != "" && flag != "" && cfg.Namespace != flag:
		return "", "", fmt.Errorf("--namespace is %q, but the config says leaderElection.namespace: %q", flag, cfg.Namespace)
	case cfg.Namespace != "":
		return cfg.Namespace, "", nil
	case flag != "":
		return flag, unnamed + "--namespace, and must be $POD_NAMESPACE of the pods", nil
	case account.Namespace != "":
		return account.Namespace, unnamed + "the service account's, where kooperd looks for it in a pod", nil
	}
	return "", "", nil
}

// parseServiceAccount reads NAMESPACE/NAME.
func parseServiceAccount(text string) (types.NamespacedName, error) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok || namespace == "" || name == "" {
		return types.NamespacedName{}, fmt.Errorf("service account %q: want NAMESPACE/NAME", text)
	}
	if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
		return types.NamespacedName{}, fmt.Errorf("service account %q: the namespace is not valid: %s", text, problems[0])
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return types.NamespacedName{}, fmt.Errorf("service account %q: the name is not valid: %s", text, problems[0])
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}
