//! Projects and profiles.

use serde_json::json;

use crate::client::Client;
use crate::error::LxdError;
use crate::request::Request;
use crate::types::{Profile, Project};

impl Client {
    /// The projects.
    ///
    /// # Errors
    /// The call failed.
    pub async fn projects(&self) -> Result<Vec<Project>, LxdError> {
        self.call_list(Request::get(&["projects"]).with_query("recursion", "1"))
            .await
    }

    /// Makes a project.
    ///
    /// # Errors
    /// The call failed; see [`LxdError::is_conflict`] where it exists.
    pub async fn create_project(&self, project: &Project) -> Result<(), LxdError> {
        self.call_empty(Request::post(&["projects"], project)).await
    }

    /// Removes a project, which must be empty.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_project(&self, name: &str) -> Result<(), LxdError> {
        self.call_empty(Request::delete(&["projects", name])).await
    }

    /// The profiles of this client's project.
    ///
    /// # Errors
    /// The call failed.
    pub async fn profiles(&self) -> Result<Vec<Profile>, LxdError> {
        self.call_list(
            Request::get(&["profiles"])
                .with_query("recursion", "1")
                .with_optional("project", self.project()),
        )
        .await
    }

    /// Makes a profile, or gives it new content where it exists.
    ///
    /// # Errors
    /// The call failed.
    pub async fn put_profile(&self, profile: &Profile) -> Result<(), LxdError> {
        let request =
            Request::post(&["profiles"], profile).with_optional("project", self.project());
        match self.call_empty(request).await {
            Err(error) if error.is_conflict() => {
                let content = json!({
                    "description": profile.description,
                    "config": profile.config,
                    "devices": profile.devices,
                });
                let request = Request::put(&["profiles", &profile.name], &content)
                    .with_optional("project", self.project());
                self.call_empty(request).await
            }
            result => result,
        }
    }

    /// Removes a profile.
    ///
    /// # Errors
    /// The call failed, for example because an instance uses it.
    pub async fn delete_profile(&self, name: &str) -> Result<(), LxdError> {
        self.call_empty(
            Request::delete(&["profiles", name]).with_optional("project", self.project()),
        )
        .await
    }
}
