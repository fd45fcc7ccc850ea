package access

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kinds"
)

// Checker asks an API server what keeps a config from working there. `kooperd validate --live` and
// the daemon say the same because both use it. It is safe for concurrent use.
type Checker struct {
	finder     kinds.Finder
	reviewer   *Reviewer
	namespaces *Namespaces
}

// NewChecker returns a Checker that asks finder what is served, reviews for the rights, and
// namespaces for what exists.
func NewChecker(finder kinds.Finder, reviews Reviews, namespaces *Namespaces) *Checker {
	return &Checker{finder: finder, reviewer: NewReviewer(reviews), namespaces: namespaces}
}

// Finding is something that keeps a definition, the lease, or a ConfigMap from working in a
// cluster.
type Finding struct {
	// Definition is whose it is; empty for the lease, and for a ConfigMap.
	Definition string `json:"definition,omitempty"`
	// ConfigMap is the one that it is about, as NAMESPACE/NAME; empty otherwise.
	ConfigMap string `json:"configMap,omitempty"`
	// Message says what is wrong, in one line.
	Message string `json:"message"`
	// Optional says that everything works without it, only worse.
	Optional bool `json:"optional,omitempty"`
	// Namespace is where a right is missing, or the namespace that does not exist.
	Namespace string `json:"namespace,omitempty"`
	// Rule is the right that is missing, nil if something else is.
	Rule *rbacv1.PolicyRule `json:"rule,omitempty"`
}

// Watch finds what keeps a definition from watching. The error means that the API server could not
// be asked.
func (c *Checker) Watch(ctx context.Context, def config.Definition) ([]Finding, error) {
	needs, err := OfWatch(ctx, def, c.finder)
	return c.check(ctx, def.Name, needs, err)
}

// Handler finds which rights a definition's handler lacks, and which of its rules are about
// nothing. The error means that the API server could not be asked.
func (c *Checker) Handler(ctx context.Context, def config.Definition) ([]Finding, error) {
	needs, err := OfHandler(ctx, def, c.finder)
	return c.check(ctx, def.Name, needs, err)
}

// Lease finds which rights to the lease are missing. namespace is as for OfLease. The error means
// that the API server could not be asked.
func (c *Checker) Lease(ctx context.Context, lease config.LeaderElection, namespace string) ([]Finding, error) {
	return c.check(ctx, "", OfLease(lease, namespace), nil)
}

// Records finds which rights to the ConfigMap are missing in which is noted what composers own. The
// error means that the API server could not be asked.
func (c *Checker) Records(ctx context.Context, name types.NamespacedName) ([]Finding, error) {
	return c.check(ctx, "", OfRecords(name), nil)
}

// ConfigSource finds which rights a config in ConfigMaps lacks. The error means that the API server
// could not be asked.
func (c *Checker) ConfigSource(ctx context.Context, source ConfigSource) ([]Finding, error) {
	return c.check(ctx, "", OfConfigSource(source), nil)
}

// Namespaces finds which of the namespaces that a definition, or the lease, is about do not exist.
// unknown are those of which this client may not know it. The error means that the API server could
// not be asked.
func (c *Checker) Namespaces(ctx context.Context, definition string, names []string) (found []Finding, unknown []string, err error) {
	missing, unknown, err := c.namespaces.Missing(ctx, names)
	for _, name := range missing {
		found = append(found, Finding{
			Definition: definition, Message: fmt.Sprintf("namespace %s does not exist", name), Namespace: name,
		})
	}
	return found, unknown, err
}

// check makes findings of what is known not to work, and of the rights that are missing.
func (c *Checker) check(ctx context.Context, definition string, needs []Requirement, err error) ([]Finding, error) {
	if err := CannotAsk(err); err != nil {
		return nil, err
	}
	var found []Finding
	for _, problem := range Split(err) {
		found = append(found, Finding{Definition: definition, Message: problem.Error()})
	}
	missing, err := c.reviewer.Missing(ctx, needs)
	if err != nil {
		return nil, err
	}
	for _, need := range missing {
		found = append(found, Finding{
			Definition: definition, ConfigMap: need.ConfigMap, Message: need.Text(),
			Optional: need.Optional, Namespace: need.Namespace, Rule: &need.Rule,
		})
	}
	return found, nil
}

// Split takes apart an error that joins several, as that of OfConfig does. nil has no parts.
func Split(err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var parts []error
		for _, part := range several.Unwrap() {
			parts = append(parts, Split(part)...)
		}
		return parts
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// CannotAsk returns the first part of an error that is neither an answer nor about a single group
// of the API server, so that there is no point in asking on; else nil.
func CannotAsk(err error) error {
	for _, part := range Split(err) {
		if !kinds.IsAnswer(part) && !kinds.IsOutOfService(part) {
			return part
		}
	}
	return nil
}
