package access

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NamespaceGetter is the part of client-go's client for namespaces that Namespaces uses.
type NamespaceGetter interface {
	// Get reads one namespace.
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*corev1.Namespace, error)
}

// Namespaces asks the API server whether namespaces exist. Lists and watches in one that does not
// exist succeed, and so do access reviews. It is safe for concurrent use.
type Namespaces struct {
	exists *answers[namespaceKey, existence]
}

type namespaceKey struct{ name string }

// existence is what the API server says of a namespace.
type existence int

const (
	exists existence = iota
	absent
	forbidden
)

// NewNamespaces returns Namespaces that asks by namespaces. It first asks reviews whether it may,
// so that a client without the right leaves no refused requests in the audit log. Both must be of
// the same user.
func NewNamespaces(namespaces NamespaceGetter, reviews Reviews) *Namespaces {
	reviewer := NewReviewer(reviews)
	return &Namespaces{exists: newAnswers(func(ctx context.Context, key namespaceKey) (existence, error) {
		lacking, err := reviewer.Missing(ctx, []Requirement{key.requirement()})
		if err != nil || len(lacking) > 0 {
			return forbidden, err
		}
		_, err = namespaces.Get(ctx, key.name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return absent, nil
		case apierrors.IsForbidden(err):
			return forbidden, nil
		}
		return exists, err
	})}
}

// requirement is the right to get the namespace. A Role in the namespace can grant it.
func (k namespaceKey) requirement() Requirement {
	return Requirement{Namespace: k.name, Rule: rbacv1.PolicyRule{
		APIGroups: []string{corev1.GroupName}, Resources: []string{"namespaces"}, ResourceNames: []string{k.name}, Verbs: []string{"get"},
	}}
}

// Missing returns those of the names that do not exist, and those of which the client may not know
// that. An error means that the API server could not be asked.
func (n *Namespaces) Missing(ctx context.Context, names []string) (missing, unknown []string, err error) {
	for _, name := range names {
		found, err := n.exists.ask(ctx, namespaceKey{name})
		if err != nil {
			return nil, nil, fmt.Errorf("asking the API server for namespace %s: %w", name, err)
		}
		switch found {
		case absent:
			missing = append(missing, name)
		case forbidden:
			unknown = append(unknown, name)
		case exists:
		}
	}
	return missing, unknown, nil
}
