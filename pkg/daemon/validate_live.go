package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/reload"
)

// liveCheck checks a config against a cluster.
type liveCheck struct {
	cfg     *config.Config
	source  access.ConfigSource // where kooperd reads it, if that is in the cluster
	cluster *kube.Cluster       // as the user of --as
	plain   *kube.Cluster       // as the user of the kubeconfig
	clients handlers.Clients
	checker *access.Checker

	crds   kinds.CustomKinds // from files
	custom kinds.CustomKinds // from the API server

	rights  int // that the config needs
	found   []access.Finding
	unknown map[string]bool // namespaces of which it is not known whether they exist
}

// validateLive prints what keeps the config from working in the cluster, and returns a few words
// for the case that nothing does.
// again checks the config with more custom kinds.
func validateLive(
	cmd *cobra.Command, cfg *config.Config, crds kinds.CustomKinds, flags validateFlags, again func(kinds.CustomKinds) error,
) (verdict string, err error) {
	source, err := parseConfigMaps(flags.maps)
	if err != nil {
		return "", err
	}
	where, err := loadClusterConfig(flags.cluster.kubeconfig, flags.cluster.context)
	if err != nil {
		return "", err
	}
	check, err := newLiveCheck(cfg, where, flags.as)
	if err != nil {
		return "", &runError{err}
	}
	defer check.close()
	check.source, check.crds = source, crds
	if err := ask(cmd.Context(), cmd.ErrOrStderr(), where, flags.cluster.timeout, func(ctx context.Context) error {
		return check.run(ctx, where.namespace)
	}); err != nil {
		return "", &runError{fmt.Errorf("asking the cluster: %w", err)}
	}
	failed := false
	for _, f := range check.found {
		if err := writeFinding(cmd.OutOrStdout(), f, flags.json); err != nil {
			return "", &runError{err}
		}
		failed = failed || !f.Optional
	}
	if len(check.custom) > 0 {
		err = again(slices.Concat(check.custom, crds))
		if mistakes, ok := errors.AsType[config.Diagnostics](err); ok {
			return "", &runError{writeMistakes(cmd.OutOrStdout(), mistakes, flags.json)}
		}
		if err != nil {
			return "", fmt.Errorf("loading config: %w", err)
		}
	}
	if failed {
		return "", &runError{errSilent}
	}
	missing := len(slices.DeleteFunc(check.found, func(f access.Finding) bool { return f.Rule == nil }))
	return "; the cluster serves every kind, accepts the selectors and grants " + plural(check.rights-missing, "rule", "rules"), nil
}

// writeFinding prints one finding in a line.
func writeFinding(w io.Writer, f access.Finding, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(f)
	}
	subject, remark := f.Definition, ""
	switch {
	case f.ConfigMap != "":
		subject = reload.ConfigMapPrefix + f.ConfigMap
	case subject == "":
		subject = "leaderElection"
	}
	if f.Rule != nil && f.Optional {
		remark = " (it works without, but worse)"
	}
	_, err := fmt.Fprintf(w, "%s: %s%s\n", subject, f.Message, remark)
	return err
}

func newLiveCheck(cfg *config.Config, where clusterConfig, as string) (*liveCheck, error) {
	plain, err := connect(where)
	if err != nil {
		return nil, err
	}
	c := &liveCheck{cfg: cfg, plain: plain, cluster: plain, unknown: map[string]bool{}}
	if as != "" {
		where.rest = rest.CopyConfig(where.rest)
		where.rest.Impersonate = rest.ImpersonationConfig{UserName: as}
		if c.cluster, err = connect(where); err != nil {
			return nil, err
		}
	}
	if c.clients, err = c.cluster.Clients("validate", nil, nil); err != nil {
		return nil, err
	}
	reviews, err := c.cluster.AccessReviews()
	if err != nil {
		return nil, err
	}
	// The namespaces exist whoever asks, and the user of the kubeconfig is more likely to have the
	// right to know.
	namespaces, err := plain.Namespaces()
	if err != nil {
		return nil, err
	}
	plainReviews, err := plain.AccessReviews()
	if err != nil {
		return nil, err
	}
	c.checker = access.NewChecker(c.cluster.Kinds(), reviews, access.NewNamespaces(namespaces, plainReviews))
	return c, nil
}

func (c *liveCheck) close() {
	c.plain.Close()
	c.cluster.Close()
}

// run collects findings. leaseNamespace is where the lease is when the config does not say. An
// error means that the cluster could not be asked.
func (c *liveCheck) run(ctx context.Context, leaseNamespace string) error {
	for _, def := range c.cfg.Definitions {
		if def.Paused {
			continue
		}
		if err := c.definition(ctx, def); err != nil {
			return err
		}
	}
	if err := c.types(ctx); err != nil {
		return err
	}
	if access.NeedsLease(c.cfg, c.source) {
		if err := c.lease(ctx, leaseNamespace); err != nil {
			return err
		}
	}
	if access.NeedsRecords(c.cfg) {
		found, err := c.checker.Records(ctx, access.RecordsOf(c.cfg.LeaderElection, leaseNamespace))
		if err != nil {
			return err
		}
		c.found = append(c.found, found...)
	}
	rights, err := c.checker.ConfigSource(ctx, c.source)
	if err != nil {
		return err
	}
	c.found = append(c.found, rights...)
	if len(c.unknown) > 0 {
		c.found = append(c.found, c.unknownNamespaces())
	}
	needs, err := access.OfConfig(ctx, c.cfg, c.source, leaseNamespace, c.cluster.Kinds())
	c.rights = len(needs)
	return access.CannotAsk(err)
}

// definition checks one definition.
func (c *liveCheck) definition(ctx context.Context, def config.Definition) error {
	if err := c.namespaces(ctx, def.Name, def.Watch.Namespaces); err != nil {
		return err
	}
	watch, err := c.checker.Watch(ctx, def)
	if err != nil {
		return err
	}
	c.found = append(c.found, watch...)
	if len(watch) == 0 {
		if err := c.selectors(ctx, def); err != nil {
			return err
		}
	}
	handler, err := c.checker.Handler(ctx, def)
	c.found = append(c.found, handler...)
	return err
}

// lease checks the rights to the lease, and that its namespace exists.
func (c *liveCheck) lease(ctx context.Context, namespace string) error {
	if c.cfg.LeaderElection.Namespace != "" {
		namespace = c.cfg.LeaderElection.Namespace
	}
	if err := c.namespaces(ctx, "", []string{namespace}); err != nil {
		return err
	}
	found, err := c.checker.Lease(ctx, c.cfg.LeaderElection, namespace)
	c.found = append(c.found, found...)
	return err
}

// namespaces looks for namespaces that a definition, or the lease, is about.
func (c *liveCheck) namespaces(ctx context.Context, definition string, names []string) error {
	found, unknown, err := c.checker.Namespaces(ctx, definition, names)
	c.found = append(c.found, found...)
	for _, name := range unknown {
		c.unknown[name] = true
	}
	return err
}

// unknownNamespaces says which namespaces the user may not look at.
func (c *liveCheck) unknownNamespaces() access.Finding {
	var names []string
	for name := range c.unknown {
		names = append(names, name)
	}
	slices.Sort(names)
	return access.Finding{Optional: true, Message: fmt.Sprintf(
		"cannot tell whether these namespaces exist, for lack of the right to get them: %s", strings.Join(names, ", "))}
}

// selectors lists one object, as only the API server knows which fields of a kind can be selected
// by.
func (c *liveCheck) selectors(ctx context.Context, def config.Definition) error {
	resource, err := c.cluster.Kinds().Kind(ctx, def.Watch.Kind)
	if err != nil {
		return err
	}
	gvr := def.Watch.Kind.GroupVersion().WithResource(resource.Name)
	namespace := ""
	if len(def.Watch.Namespaces) > 0 {
		namespace = def.Watch.Namespaces[0]
	}
	opts := metav1.ListOptions{Limit: 1}
	if selector := def.Watch.LabelSelector; selector != nil {
		opts.LabelSelector = selector.String()
	}
	if selector := def.Watch.FieldSelector; selector != nil {
		opts.FieldSelector = selector.String()
	}
	_, err = c.clients.Dynamic.Resource(gvr).Namespace(namespace).List(ctx, opts)
	if _, answered := err.(apierrors.APIStatus); err != nil && !answered {
		return err
	}
	if err != nil {
		c.found = append(c.found, access.Finding{
			Definition: def.Name, Message: fmt.Sprintf("listing %s as the definition does: %v", resource.Name, err),
		})
	}
	return nil
}
