# Tenants that share the gateway. A caller's tenant is the claim `tenant` of its token, or
# else the one that data.users names. A tenant has roles and bounds of its own, beside those
# that all share, under data.tenants; a server that data.servers gives to some tenants is
# nobody else's. Where there is none of that in the data, nothing here costs anything.
#
# The denials hold in every phase: what is another tenant's is not listed either.
package mcp

tenant := input.user.claims.tenant if {
	is_string(input.user.claims.tenant)
} else := data.users[input.user.id].tenant if {
	not claims_tenant
}

# A claim of another type is no tenant, and does not make way for the data either.
claims_tenant if _ = input.user.claims.tenant

deny contains {"reason": reason} if {
	data.tenants
	some reason in tenant_reasons
}

tenant_reasons contains "tenant_mismatch" if {
	expected := data.users[input.user.id].tenant
	not belongs_to[expected]
}

# A caller without a tenant owns nothing: `not owners[tenant]` would be undefined.
tenant_reasons contains "other_tenant" if {
	owners := data.servers[input.server].tenants
	not owns(owners)
}

belongs_to contains tenant

owns(owners) if {
	some name in belongs_to
	owners[name] == true
}
