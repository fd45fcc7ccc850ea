package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/validate/content"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// treeFlags are the settings of the command tree.
type treeFlags struct {
	format  string
	cluster clusterFlags
}

const treeLong = `tree shows an object with everything that kooperd has made for it, wherever that is, and what was made for those objects in
turn. It says of each how it is doing by its own status, which definition of which installation has made it, and who else owns
fields of it. Below the children of an object are those that are none, and that it patches, with the fields that it has set
there. Of the object itself it says the condition Ready, the finalizers of kooperd, and whether it is paused.

KIND is a kind, a plural, a singular or a short name, as for kubectl, with .GROUP after it where that is needed.

It needs no config: it looks at all kinds that the cluster serves, as the user of the kubeconfig. Kinds that this user may not
list are named on standard error. It reads Secrets without what is in them, and changes nothing.

It asks at most 300 objects for what was made for them, on at most 10 levels, first those of kinds of which there are few. What
is left out by that, or when the time is over, is said on standard error.

Exit status: 0 the object is shown, 1 it is not there or could not be read, or not to the end, 2 bad usage.`

func newTreeCommand() *cobra.Command {
	var flags treeFlags
	cmd := &cobra.Command{
		Use:   "tree KIND/NAMESPACE/NAME",
		Short: "Show an object with the children that kooperd has made for it",
		Long:  treeLong,
		Example: "  kooperd tree website/team-a/shop\n" +
			"  kooperd tree namespace/team-a -o json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := parseTreeParent(args[0])
			if err != nil {
				return err
			}
			if err := checkFormat(flags.format, formatText, formatJSON); err != nil {
				return err
			}
			if err := flags.cluster.check(cmd.Flags(), true); err != nil {
				return err
			}
			return runTree(cmd, parent, flags)
		},
	}
	cmd.Flags().StringVarP(&flags.format, "format", "o", formatText, "text or json")
	flags.cluster.add(cmd.Flags(), "")
	return cmd
}

// treeParent names an object as a person does.
type treeParent struct{ kind, namespace, name string }

// parseTreeParent reads KIND/NAMESPACE/NAME or KIND/NAME.
func parseTreeParent(text string) (treeParent, error) {
	parts := strings.Split(text, "/")
	parent := treeParent{kind: parts[0], name: parts[len(parts)-1]}
	switch len(parts) {
	case 3:
		parent.namespace = parts[1]
		if parent.namespace == "" {
			return treeParent{}, fmt.Errorf("%q has an empty namespace: want KIND/NAMESPACE/NAME", text)
		}
	case 2:
	default:
		return treeParent{}, fmt.Errorf("%q is no object: want KIND/NAMESPACE/NAME, or KIND/NAME for one without a namespace", text)
	}
	if parent.kind == "" || parent.name == "" {
		return treeParent{}, fmt.Errorf("%q has no kind or no name: want KIND/NAMESPACE/NAME, or KIND/NAME for one without a namespace", text)
	}
	for _, part := range parts[1:] {
		if problems := content.IsPathSegmentName(part); len(problems) > 0 {
			return treeParent{}, fmt.Errorf("%q is no object: %q %s", text, part, strings.Join(problems, "; "))
		}
	}
	return parent, nil
}

// check looks at whether the kind has namespaces.
func (p treeParent) check(resource kinds.Resource) error {
	switch {
	case resource.Namespaced && p.namespace == "":
		return fmt.Errorf("a %s is in a namespace: want %s/NAMESPACE/%s", resource.Kind, p.kind, p.name)
	case !resource.Namespaced && p.namespace != "":
		return fmt.Errorf("a %s is in no namespace: want %s/%s", resource.Kind, p.kind, p.name)
	}
	return nil
}

func runTree(cmd *cobra.Command, parent treeParent, flags treeFlags) error {
	where, err := loadClusterConfig(flags.cluster.kubeconfig, flags.cluster.context)
	if err != nil {
		return err
	}
	cluster, err := connect(where)
	if err != nil {
		return &runError{err}
	}
	defer cluster.Close()
	var found family
	if err := ask(cmd.Context(), cmd.ErrOrStderr(), where, flags.cluster.timeout, func(ctx context.Context) error {
		// When the time is over, what was found until then is shown. That takes a moment.
		limited, cancel := context.WithTimeout(ctx, flags.cluster.timeout-min(flags.cluster.timeout/10, time.Second))
		defer cancel()
		found, err = readFamily(limited, cluster, parent)
		return err
	}); err != nil {
		return &runError{err}
	}
	return found.show(cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.format)
}

// family is what the command prints as JSON: an object, and what could not be looked at.
type family struct {
	*compose.Member
	// Unlisted are the resources that could not be listed, and UnlistedElsewhere those that could
	// be in the namespace of the object alone.
	Unlisted          []string `json:"unlisted"`
	UnlistedElsewhere []string `json:"unlistedElsewhere"`
	// Error is why it was not read to the end; empty if it was.
	Error string `json:"error,omitempty"`
}

// readFamily reads an object with everything that was made for it. It returns no error when at
// least the object was read.
func readFamily(ctx context.Context, cluster *kube.Cluster, parent treeParent) (family, error) {
	resources, failed, err := cluster.Kinds().All(ctx)
	if err != nil {
		return family{}, err
	}
	resource, err := kinds.Named(resources, parent.kind)
	if err != nil {
		return family{}, errors.Join(append([]error{err}, failed...)...)
	}
	if err := parent.check(resource); err != nil {
		return family{}, err
	}
	clients, err := cluster.Clients("tree", nil, nil)
	if err != nil {
		return family{}, err
	}
	client, err := compose.NewClient(clients.REST, kinds.NewList(resources))
	if err != nil {
		return family{}, err
	}
	reader := compose.NewFamily(client, resources)
	member, err := reader.Read(ctx, resource, parent.namespace, parent.name)
	if member == nil {
		return family{}, err
	}
	found := family{Member: member}
	switch {
	case err != nil && ctx.Err() != nil:
		found.Error = "not everything is shown: the time is over"
	case err != nil:
		found.Error = fmt.Sprintf("not everything is shown: %v", err)
	}
	found.Unlisted, found.UnlistedElsewhere = reader.Unlisted()
	for _, err := range failed {
		found.Unlisted = append(found.Unlisted, err.Error())
	}
	found.Unlisted, found.UnlistedElsewhere = append([]string{}, found.Unlisted...), append([]string{}, found.UnlistedElsewhere...)
	return found, nil
}
