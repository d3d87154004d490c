# Organizations as Terraform or OpenTofu keeps them, through the API of the console (docs/console.md).
# The token is that of `jira-relay api-token terraform --role operator`.

terraform {
  required_providers {
    restapi = {
      source  = "Mastercard/restapi"
      version = "1.20.0"
    }
  }
}

variable "console_url" {
  description = "URL of the console, such as https://relay.example.com."
  type        = string
}

variable "console_token" {
  description = "A token for the API, with the role operator."
  type        = string
  sensitive   = true
}

variable "organizations" {
  description = "The organizations by name. api_key_ref: a reference that the producers resolve, such as file:acme."
  type = map(object({
    url              = string
    user             = string
    api_key_ref      = string
    interval_seconds = optional(number, 0)
  }))
}

variable "test_connections" {
  description = "Whether the console tests each connection before it stores anything."
  type        = bool
  default     = true
}

provider "restapi" {
  uri = var.console_url
  headers = {
    Authorization = "Bearer ${var.console_token}"
    Content-Type  = "application/json"
  }
  # A name is the id: PUT adds the organization, or changes it.
  create_method = "PUT"
  # The first answer may wait for the connection test.
  timeout = 120
}

resource "restapi_object" "organization" {
  for_each = var.organizations

  path        = "/api/v1/organizations"
  create_path = "/api/v1/organizations/{id}"
  object_id   = each.key
  data        = jsonencode(merge(each.value, { test = var.test_connections }))
}
