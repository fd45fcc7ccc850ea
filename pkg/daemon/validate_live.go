package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// finding is something that keeps a good config from working in a cluster.
type finding struct {
	Definition string `json:"definition,omitempty"` // empty for the lease
	Message    string `json:"message"`
	Optional   bool   `json:"optional,omitempty"` // it works without, only worse
	Namespace  string `json:"namespace,omitempty"`
	Rule       any    `json:"rule,omitempty"` // the missing rule
}

func (f finding) String() string {
	subject := f.Definition
	if subject == "" {
		subject = "leaderElection"
	}
	if f.Optional {
		return subject + ": " + f.Message + " (it works without, but worse)"
	}
	return subject + ": " + f.Message
}

// liveCheck holds a config against a cluster.
type liveCheck struct {
	cfg      *config.Config
	cluster  *kube.Cluster
	clients  handlers.Clients
	kinds    access.Kinds
	reviewer *access.Reviewer
	found    []finding
}

// validateLive prints what the cluster says to the config and returns a few words for the case that all is well.
func validateLive(ctx context.Context, stdout io.Writer, cfg *config.Config, flags validateFlags) (verdict string, err error) {
	where, err := loadClusterConfig(flags.kubeconfig)
	if err != nil {
		return "", err
	}
	if flags.as != "" {
		where.rest.Impersonate = rest.ImpersonationConfig{UserName: flags.as}
	}
	check, err := newLiveCheck(cfg, where)
	if err != nil {
		return "", &runError{err}
	}
	defer check.cluster.Close()
	rights, err := check.run(ctx, where.namespace)
	if err != nil {
		return "", &runError{fmt.Errorf("asking the cluster: %w", err)}
	}
	failed := false
	for _, f := range check.found {
		if err := f.write(stdout, flags.json); err != nil {
			return "", &runError{err}
		}
		failed = failed || !f.Optional
	}
	if failed {
		return "", &runError{errSilent}
	}
	return fmt.Sprintf("; the cluster serves every kind, accepts the selectors and grants %d rules", rights-len(check.found)), nil
}

func (f finding) write(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(f)
	}
	_, err := fmt.Fprintln(w, f)
	return err
}

func newLiveCheck(cfg *config.Config, where clusterConfig) (*liveCheck, error) {
	cluster, err := connect(where)
	if err != nil {
		return nil, err
	}
	clients, err := cluster.Clients("validate", nil, nil)
	if err != nil {
		return nil, err
	}
	reviews, err := cluster.AccessReviews()
	if err != nil {
		return nil, err
	}
	return &liveCheck{
		cfg: cfg, cluster: cluster, clients: clients,
		kinds: access.Live{Mapper: cluster.Mapper()}, reviewer: access.NewReviewer(reviews),
	}, nil
}

// run collects findings and returns the number of rules that the config needs. An error means that the cluster could not be asked.
func (c *liveCheck) run(ctx context.Context, leaseNamespace string) (rights int, err error) {
	for _, def := range c.cfg.Definitions {
		if def.Paused {
			continue
		}
		needed, err := c.definition(ctx, def)
		if err != nil {
			return 0, err
		}
		rights += needed
	}
	if !access.NeedsLease(c.cfg) {
		return rights, nil
	}
	needs := access.OfLease(c.cfg.LeaderElection, leaseNamespace)
	_, err = c.rights(ctx, needs)
	return rights + len(needs), err
}

// definition checks one definition.
func (c *liveCheck) definition(ctx context.Context, def config.Definition) (rights int, err error) {
	needs, err := access.OfWatch(ctx, def, c.kinds)
	if err != nil && !access.IsAnswer(err) {
		return 0, err
	}
	if err != nil {
		c.found = append(c.found, finding{Definition: def.Name, Message: err.Error()})
		needs = nil
	}
	missing, err := c.rights(ctx, needs)
	if err != nil {
		return 0, err
	}
	if len(needs) > 0 && !missing {
		c.selectors(ctx, def)
	}
	handler, err := access.OfHandler(ctx, def, c.kinds)
	if err != nil && !access.IsAnswer(err) {
		return 0, err
	}
	if err != nil {
		c.found = append(c.found, finding{Definition: def.Name, Message: err.Error()})
	}
	_, err = c.rights(ctx, handler)
	return len(needs) + len(handler), err
}

func (c *liveCheck) rights(ctx context.Context, needs []access.Requirement) (missing bool, err error) {
	lacking, err := c.reviewer.Missing(ctx, needs)
	if err != nil {
		return false, err
	}
	for _, need := range lacking {
		c.found = append(c.found, finding{
			Definition: need.Definition, Message: need.Text(), Optional: need.Optional, Namespace: need.Namespace, Rule: need.Rule,
		})
	}
	return len(lacking) > 0, nil
}

// selectors lists one object, as only the API server knows which fields of a kind can be selected by.
func (c *liveCheck) selectors(ctx context.Context, def config.Definition) {
	resource, err := c.kinds.OfKind(ctx, def.Watch.Kind)
	if err != nil {
		return // told before
	}
	gvr := schema.GroupVersionResource{Group: def.Watch.Kind.Group, Version: def.Watch.Kind.Version, Resource: resource.Name}
	namespace := ""
	if len(def.Watch.Namespaces) > 0 {
		namespace = def.Watch.Namespaces[0]
	}
	_, err = c.clients.Dynamic.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: def.Watch.LabelSelector, FieldSelector: def.Watch.FieldSelector, Limit: 1,
	})
	if err != nil {
		c.found = append(c.found, finding{Definition: def.Name, Message: fmt.Sprintf("listing %s as the definition does: %v", resource.Name, err)})
	}
}
