package examples_test

// password and certificate select what is in the Secrets, which is encoded.
const (
	password    = "{.data.password}"
	certificate = `{.data.ca\.crt}`

	firstPassword, secondPassword       = "Zmlyc3QtcGFzc3dvcmQ=", "c2Vjb25kLXBhc3N3b3Jk"
	firstCertificate, secondCertificate = "Zmlyc3QtY2VydGlmaWNhdGU=", "c2Vjb25kLWNlcnRpZmljYXRl"
)

var secretCopyLife = life{
	before: "apiVersion: v1\nkind: Namespace\nmetadata: {name: platform}", // where it has a Role
	parents: map[string][]string{
		"push": {"Secret platform/registry"},
		"pull": {"Namespace lab", "Namespace blog"},
	},
	secrets: []string{
		"first-password", firstPassword, "second-password", secondPassword,
		"first-certificate", firstCertificate, "second-certificate", secondCertificate,
	},
	steps: []step{
		{
			name:  "create",
			apply: "objects.yaml",
			children: objects{
				"Secret storefront/registry": {password: firstPassword, "{.type}": "kubernetes.io/basic-auth"},
				"Secret blog/registry":       {password: firstPassword},
				"Secret lab/ca":              {certificate: firstCertificate, "{.type}": "Opaque"},
			},
		},
		{
			name: "change",
			patch: map[string]string{
				"Secret platform/registry": `{"data": {"password": "` + secondPassword + `"}}`,
				"Secret platform/ca":       `{"data": {"ca.crt": "` + secondCertificate + `"}}`,
			},
			children: objects{
				"Secret storefront/registry": {password: secondPassword},
				"Secret blog/registry":       {password: secondPassword},
				"Secret lab/ca":              {certificate: secondCertificate},
			},
		},
		{
			name:  "another Namespace in the group",
			patch: map[string]string{"Namespace lab": `{"metadata": {"labels": {"copies.example.com/group": "web"}}}`},
			children: objects{
				"Secret storefront/registry": nil,
				"Secret blog/registry":       nil,
				"Secret lab/registry":        {password: secondPassword},
				"Secret lab/ca":              nil,
			},
		},
		{
			name:   "changes by hand",
			patch:  map[string]string{"Secret storefront/registry": `{"data": {"password": "` + firstPassword + `"}}`},
			remove: []string{"Secret blog/registry", "Secret lab/ca"},
			children: objects{
				"Secret storefront/registry": {password: secondPassword},
				"Secret blog/registry":       {password: secondPassword},
				"Secret lab/registry":        nil,
				"Secret lab/ca":              {certificate: secondCertificate},
			},
		},
		{
			name:   "another type",
			remove: []string{"Secret platform/ca"},
			apply: `
apiVersion: v1
kind: Secret
metadata: {name: ca, namespace: platform, labels: {copies.example.com/offered: "yes"}}
type: example.com/certificate
data: {ca.crt: ` + firstCertificate + `}
`,
			children: objects{
				"Secret storefront/registry": nil,
				"Secret blog/registry":       nil,
				"Secret lab/registry":        nil,
				"Secret lab/ca":              {certificate: firstCertificate, "{.type}": "example.com/certificate"},
			},
			renewed: []string{"Secret lab/ca"},
		},
		{
			name: "leave",
			patch: map[string]string{
				"Namespace blog": `{"metadata": {"labels": {"copies.example.com/group": null}}}`,
				"Namespace lab":  `{"metadata": {"annotations": {"copies.example.com/secrets": null}}}`,
			},
			children: objects{"Secret storefront/registry": nil, "Secret lab/registry": nil},
		},
		{
			name:   "delete",
			remove: []string{"Secret platform/registry", "Secret platform/ca"},
			patch:  map[string]string{"Namespace lab": `{"metadata": {"labels": {"copies.example.com/group": null}}}`},
			gone:   []string{"Secret platform/registry", "Secret platform/ca"},
		},
	},
}
