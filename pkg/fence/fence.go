// Package fence makes the admission policy that lets only the holder of a Lease write. It contacts
// nothing: whoever may install policies gives the result to an API server.
//
//	f, err := fence.New(fence.Options{Lease: lease, ServiceAccount: account})
package fence

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Options say whom a [Fence] keeps out, and by which Lease. Everything is required.
type Options struct {
	// Lease is the Lease whose holder may write.
	Lease types.NamespacedName
	// ServiceAccount is whose pods write only while they hold the Lease. Whatever else uses the
	// account is kept out too, and so are candidates for another Lease: it must belong to the
	// candidates for this one alone.
	ServiceAccount types.NamespacedName
}

// Fence is what makes the API server itself refuse the writes of a candidate that does not hold the
// Lease, whatever that candidate believes. It needs Kubernetes 1.30 and candidates whose identity
// is that of their pod (election.Identity).
//
// The pod's name and UID come from the token that the kubelet has mounted into the pod; every other
// identity is left alone. Reads are never refused, nor are writes of Events and, so that candidates
// can compete, of Leases with the name of this one. (The API server does not ask policies about
// reviews of tokens and access, nor about policies.)
type Fence struct {
	// Policy refuses, with status 403 and a message that names the holder.
	Policy *admissionregistrationv1.ValidatingAdmissionPolicy
	// Binding gives the Lease to Policy. It has the same name.
	Binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding
}

// New returns the fence for o, to be given to an API server by somebody who may, or says what is
// wrong with o. Its name is derived from the service account, so that a later fence for the same
// account replaces this one.
func New(o Options) (Fence, error) {
	if err := o.validate(); err != nil {
		return Fence{}, fmt.Errorf("making a fence: %w", err)
	}
	return Fence{
		Policy: &admissionregistrationv1.ValidatingAdmissionPolicy{
			TypeMeta:   typeMeta("ValidatingAdmissionPolicy"),
			ObjectMeta: o.meta(fmt.Sprintf("Lets pods of the service account %s write only while they hold the Lease %s.", o.ServiceAccount, o.Lease)),
			Spec:       o.policy(),
		},
		Binding: &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			TypeMeta:   typeMeta("ValidatingAdmissionPolicyBinding"),
			ObjectMeta: o.meta(bindingDescription),
			Spec:       o.binding(),
		},
	}, nil
}

// bindingDescription warns of a defect of API servers: they stop watching the parameters with the
// last binding that needs them, and a later one finds what they knew then.
const bindingDescription = "Puts the policy in force. To lift it for a while, set validationActions to [Audit]. Do not delete it and install it " +
	"again: it would go by the holder of that moment until the API servers are restarted (kubernetes/kubernetes#130887)."

func (o Options) meta(description string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        o.name(),
		Labels:      map[string]string{"app.kubernetes.io/name": "kooperd", "app.kubernetes.io/component": "fence"},
		Annotations: map[string]string{"kubernetes.io/description": description},
	}
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: kind}
}

// validate also keeps everything out of the names that would need quoting in an expression.
func (o Options) validate() error {
	return errors.Join(checkName("lease", o.Lease), checkName("service account", o.ServiceAccount))
}

func checkName(what string, name types.NamespacedName) error {
	if problems := validation.IsDNS1123Label(name.Namespace); len(problems) > 0 {
		return fmt.Errorf("namespace %q of the %s: %s", name.Namespace, what, strings.Join(problems, ", "))
	}
	if problems := validation.IsDNS1123Subdomain(name.Name); len(problems) > 0 {
		return fmt.Errorf("name %q of the %s: %s", name.Name, what, strings.Join(problems, ", "))
	}
	return nil
}

// name is unique for the service account: a namespace has no dots. One that would be too long ends
// in a hash instead.
func (o Options) name() string {
	name := "kooperd-fence." + o.ServiceAccount.Namespace + "." + o.ServiceAccount.Name
	if len(name) <= validation.DNS1123SubdomainMaxLength {
		return name
	}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:16]
	return strings.TrimRight(name[:validation.DNS1123SubdomainMaxLength-len(hash)-1], "-.") + "-" + hash
}

// policy matches by resource before it looks at the parameter, and by user after that. Renewals are
// therefore excluded by resource: they pass even while an API server that has just started does not
// have the Lease yet.
func (o Options) policy() admissionregistrationv1.ValidatingAdmissionPolicySpec {
	fail, equivalent := admissionregistrationv1.Fail, admissionregistrationv1.Equivalent
	return admissionregistrationv1.ValidatingAdmissionPolicySpec{
		ParamKind:     &admissionregistrationv1.ParamKind{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		FailurePolicy: &fail,
		MatchConstraints: &admissionregistrationv1.MatchResources{
			MatchPolicy: &equivalent,
			ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{resourceRule(
				admissionregistrationv1.Rule{APIGroups: []string{"*"}, Resources: []string{"*/*"}},
				admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete, admissionregistrationv1.Connect,
			)},
			ExcludeResourceRules: []admissionregistrationv1.NamedRuleWithOperations{
				resourceRule(admissionregistrationv1.Rule{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}},
					admissionregistrationv1.OperationAll),
				named(resourceRule(admissionregistrationv1.Rule{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}},
					admissionregistrationv1.OperationAll), o.Lease.Name),
			},
		},
		MatchConditions: []admissionregistrationv1.MatchCondition{{
			Name:       "service-account",
			Expression: fmt.Sprintf("request.userInfo.username == %q", o.username()),
		}},
		Variables:   fenceVariables(),
		Validations: o.validations(),
	}
}

func resourceRule(rule admissionregistrationv1.Rule, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.NamedRuleWithOperations {
	rule.APIVersions = []string{"*"}
	return admissionregistrationv1.NamedRuleWithOperations{
		RuleWithOperations: admissionregistrationv1.RuleWithOperations{Operations: operations, Rule: rule},
	}
}

func named(rule admissionregistrationv1.NamedRuleWithOperations, name string) admissionregistrationv1.NamedRuleWithOperations {
	rule.ResourceNames = []string{name}
	return rule
}

func (o Options) username() string {
	return "system:serviceaccount:" + o.ServiceAccount.Namespace + ":" + o.ServiceAccount.Name
}

// fenceVariables put the writer's identity together as election.Identity does. None of them can
// fail, whatever is missing.
func fenceVariables() []admissionregistrationv1.Variable {
	extra := func(key string) string {
		return fmt.Sprintf(`request.userInfo.?extra[?"authentication.kubernetes.io/%s"][?0].orValue("")`, key)
	}
	return []admissionregistrationv1.Variable{
		{Name: "podName", Expression: extra("pod-name")},
		{Name: "podUID", Expression: extra("pod-uid")},
		{Name: "inPod", Expression: `variables.podName != "" && variables.podUID != ""`},
		{Name: "identity", Expression: `variables.podName + "_" + variables.podUID`},
		{Name: "holder", Expression: `params.?spec.?holderIdentity.orValue("")`},
		{Name: "heldBy", Expression: `"held by " + (variables.holder == "" ? "nobody" : variables.holder)`},
	}
}

// validations begin their messages with the holder, because what reports them may cut them off.
func (o Options) validations() []admissionregistrationv1.Validation {
	forbidden := metav1.StatusReasonForbidden
	message := fmt.Sprintf(`"the lease %s is " + variables.heldBy + `, o.Lease)
	return []admissionregistrationv1.Validation{
		{
			Expression:        "variables.inPod",
			MessageExpression: message + `"; the token of this request is not bound to a pod"`,
			Reason:            &forbidden,
		},
		{
			Expression:        "!variables.inPod || variables.identity == variables.holder",
			MessageExpression: message + `"; this request is by " + variables.identity`,
			Reason:            &forbidden,
		},
	}
}

// binding lets everything pass while there is no Lease. To deny then would be safer for a moment
// and a disaster after it: the API server decides about a missing parameter before it looks at the
// user, and would refuse the writes of everybody in the cluster. No safety is lost, because there
// is no other holder while there is no Lease.
func (o Options) binding() admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec {
	allow := admissionregistrationv1.AllowAction
	return admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: o.name(),
		ParamRef: &admissionregistrationv1.ParamRef{
			Namespace: o.Lease.Namespace, Name: o.Lease.Name, ParameterNotFoundAction: &allow,
		},
		ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
	}
}
